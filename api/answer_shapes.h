#pragma once

#include <span>
#include <string_view>

#include "api/json.h"

namespace fealty::api {

// What is answered where nothing is refused, for the OpenAPI document; the tests hold
// every answer against it. Objects are written as they look, with types for values:
// "integer", "string", "boolean"; "string?" may be null; a key that ends in "?" may be
// missing; "$Name" is one of the named ones; {"or": […]} is one of several, {"and": […]}
// all of them at once.
struct AnswerShape {
  std::string_view method;
  std::string_view pattern;         // as in the route
  std::string_view json;            // "": `type` says it all
  int status = 200;
  std::string_view type = "application/json";
};
// The administration's are left out, as they are of the document.
[[nodiscard]] std::span<const AnswerShape> answer_shapes();

// The shape as JSON Schema.
[[nodiscard]] Json shape_schema(const Json& shape);
// The named ones, as the document's components.
[[nodiscard]] Json named_shapes();

}  // namespace fealty::api
