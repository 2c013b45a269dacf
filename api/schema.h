#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "api/database.h"
#include "api/json.h"
#include "base/result.h"

namespace fealty::api {

// What a key of a request's object may hold.
enum class Type : std::uint8_t {
  kText,           // characters within [least, most]
  kLine,           // the same without control characters
  kInteger,        // within [least, most]
  kIntegerOrNull,
  kFlag,           // true, false, 1 or 0
  kLines,          // a list of at most `most` lines
  kObjects,        // a list of at most `most` objects, looked at by the handler
};

struct Field {
  std::string_view name;
  Type type;
  std::string_view about;
  bool required = false;
  std::int64_t least = 0;
  std::int64_t most = 255;
  // Further rules for a text; and the pattern that says the same in OpenAPI.
  bool (*fits)(std::string_view) = nullptr;
  std::string_view pattern = {};
};

// The keys of a request's object: what it is validated against and what OpenAPI
// shows of it. Other keys are ignored, as they always were.
struct Schema {
  std::string_view name;
  std::vector<Field> fields;
};

inline constexpr std::int64_t kItemMax = 16'384;   // characters of one in a list
inline constexpr std::int64_t kIntegerMax =
    std::numeric_limits<std::int32_t>::max();

// For texts that stand in an index, which bounds bytes.
[[nodiscard]] inline bool has_1024_bytes_at_most(std::string_view text) {
  return text.size() <= 1024;
}

// The schema of changes to what another one makes: nothing is needed.
[[nodiscard]] Schema all_optional(Schema schema, std::string_view name);

// Fails naming the key, and what would be right.
[[nodiscard]] Status validate(const Schema& schema, const Json& body);
// The first key that must be there and is not; "".
[[nodiscard]] std::string_view missing_key(const Schema& schema,
                                           const Json& body);
// The schema as OpenAPI 3.1 (JSON Schema) writes it.
[[nodiscard]] Json schema_document(const Schema& schema);

// The value of a validated key as the store takes it; flags are 1 and 0, lists
// are JSON.
[[nodiscard]] Value stored(const Json& value);
// Columns of the same name, for those of the `keys` that are there.
[[nodiscard]] Fields stored_fields(const Json& body,
                                   std::initializer_list<std::string_view> keys);
// For what may be left out.
[[nodiscard]] std::string text_of(const Json& body, std::string_view key,
                                  std::string_view otherwise = "");
[[nodiscard]] std::int64_t integer_of(const Json& body, std::string_view key,
                                      std::int64_t otherwise = 0);
[[nodiscard]] bool flag_of(const Json& body, std::string_view key);

}  // namespace fealty::api
