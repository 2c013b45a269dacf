// A request's body as JSON, judged by every schema of the API: no crash; what is
// valid has, for each key that is there, a value that can be stored, and says the
// same after it was written and read again; a refusal names a key or the body.

#include <cstdint>
#include <string_view>

#include "api/json.h"
#include "api/resources/resources.h"
#include "api/schema.h"
#include "base/check.h"

using namespace fealty::api;

namespace {

void judge(const Schema& schema, const Json& body) {
  const fealty::Status valid = validate(schema, body);
  if (!valid) {
    FEALTY_CHECK(valid.error().message.find(": ") != std::string::npos ||
                 valid.error().message.starts_with("the body"));
    return;
  }
  for (const Field& field : schema.fields) {
    const auto found = body.find(field.name);
    if (found == body.end()) continue;
    static_cast<void>(stored(*found));
    FEALTY_CHECK(missing_key(schema, body) != field.name);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  static const Routes routes = all_routes();
  const auto body =
      parse_json({reinterpret_cast<const char*>(data), size});
  if (!body) return 0;
  const auto again = parse_json(json_line(*body));
  FEALTY_CHECK(again && *again == *body);
  for (const Route& route : routes) {
    if (route.schema != nullptr) judge(*route.schema, *body);
  }
  return 0;
}
