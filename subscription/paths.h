#pragma once

#include <string_view>

namespace fealty::subscription {

// Only a path as it is written counts: one that climbs, doubles a slash or has
// an empty step is not compared but refused.
[[nodiscard]] bool is_plain_path(std::string_view path);

// Whole components: "/run/a" holds "/run/a/x" and "/run/a", not "/run/ab". A
// prefix that begins with "@" bounds abstract names, byte by byte.
[[nodiscard]] bool path_within(std::string_view path, std::string_view prefix);

}  // namespace fealty::subscription
