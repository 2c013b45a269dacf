#include "cli/client/event_reader.h"

#include <charconv>

namespace fealty::cli {
namespace {

// What follows "FIELD:" and a space, if it is this field's line.
std::optional<std::string_view> value_of(std::string_view line,
                                         std::string_view field) {
  if (!line.starts_with(field)) return std::nullopt;
  line.remove_prefix(field.size());
  if (!line.starts_with(':')) return std::nullopt;
  line.remove_prefix(1);
  if (line.starts_with(' ')) line.remove_prefix(1);
  return line;
}

std::optional<std::int64_t> read_number(std::string_view text) {
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  const bool fits = error == std::errc() && at == end && number >= 0;
  return fits ? std::optional(number) : std::nullopt;
}

}  // namespace

bool EventReader::feed(std::string_view piece) {
  bool has_come = false;
  for (const char c : piece) {
    if (c != '\n' && c != '\r') {
      if (line_.size() < kLineBytesMax) line_ += c;
      continue;
    }
    has_come = on_line() || has_come;
    line_.clear();
  }
  return has_come;
}

bool EventReader::on_line() {
  if (const auto retry = value_of(line_, "retry")) {
    if (const auto number = read_number(*retry)) retry_ms_ = number;
  }
  return value_of(line_, "event") == name_;
}

}  // namespace fealty::cli
