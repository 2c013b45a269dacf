#pragma once

#include <string>
#include <string_view>

#include "base/fd.h"

namespace fealty::subscription {

// Only a path as it is written counts: one that climbs, doubles a slash or has
// an empty step is not compared but refused.
[[nodiscard]] bool is_plain_path(std::string_view path);

// Whole components: "/run/a" holds "/run/a/x" and "/run/a", not "/run/ab". A
// prefix that begins with "@" bounds abstract names, byte by byte.
[[nodiscard]] bool path_within(std::string_view path, std::string_view prefix);

// The file that `path`, which is within `prefix` as above, leads to, opened from
// the prefix's directory with openat2: no link on the way leaves the prefix
// (absolute ones leave it), none of /proc's counts. Invalid with errno set:
// EXDEV where a link leaves it. Three system calls.
[[nodiscard]] UniqueFd open_within(std::string_view path,
                                   const std::string& prefix, int flags);

// Nothing says that `path` leads out of `prefix`: it stays, or is not there yet.
// Not looked at where the prefix is every path, or this one.
[[nodiscard]] bool stays_within(std::string_view path,
                                const std::string& prefix);

}  // namespace fealty::subscription
