#include "cli/client/json.h"

#include <string>
#include <vector>

namespace fealty::cli {
namespace {

// Stops the parser where the limits end.
class Limits : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return enter(); }
  bool key(string_t&) override { return ++members_.back() <= kMembersMax; }
  bool end_object() override { return leave(); }
  bool start_array(std::size_t) override { return enter(); }
  bool end_array() override { return leave(); }
  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  bool enter() {
    members_.push_back(0);
    return members_.size() <= kDepthMax;
  }
  bool leave() {
    members_.pop_back();
    return true;
  }

  std::vector<std::size_t> members_;   // of what the parser is in
};

}  // namespace

std::optional<Json> parse_json(std::string_view text) {
  Limits limits;
  if (!Json::sax_parse(text, &limits)) return std::nullopt;
  Json out = Json::parse(text, nullptr, false);
  if (out.is_discarded()) return std::nullopt;
  return out;
}

}  // namespace fealty::cli
