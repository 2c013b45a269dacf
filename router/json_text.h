#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace fealty::router {

// What was announced, or asked for, need not be UTF-8.
[[nodiscard]] inline std::string dumped(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false,
                   nlohmann::ordered_json::error_handler_t::replace) +
         "\n";
}

}  // namespace fealty::router
