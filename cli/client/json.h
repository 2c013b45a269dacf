#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

namespace fealty::cli {

using Json = nlohmann::ordered_json;

// What others wrote as JSON, as far as it is no deeper than kDepthMax and no
// object of it has more than kMembersMax members: what goes through it later
// recurses, and looks keys up one by one. Pure.
inline constexpr std::size_t kDepthMax = 32;
inline constexpr std::size_t kMembersMax = 10'000;
[[nodiscard]] std::optional<Json> parse_json(std::string_view text);

}  // namespace fealty::cli
