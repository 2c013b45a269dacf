#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"

namespace fealty::api {

// Objects keep the order in which they were written, so that answers read as
// documented.
using Json = nlohmann::ordered_json;

// One JSON value of a request: UTF-8, nested at most kJsonDepthMax deep, without
// NUL in any text (PostgreSQL has none). Throws nothing.
inline constexpr int kJsonDepthMax = 16;
[[nodiscard]] Result<Json> parse_json(std::string_view text);

// Whether the bytes are UTF-8 without NUL.
[[nodiscard]] bool is_text(std::string_view bytes);

// One line, a newline at its end. What is no UTF-8 is replaced.
[[nodiscard]] std::string json_line(const Json& value);

}  // namespace fealty::api
