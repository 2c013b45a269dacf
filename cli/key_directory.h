#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fealty::cli {

struct SyncedKeys {
  std::size_t written = 0;
  std::size_t removed = 0;
  std::size_t kept = 0;
};

// Brings a router's key directory (docs/protocol/subscription.md) in line with
// what the API lists, [{rsa, domains[{name}]}]: a DOMAIN.pem for each domain,
// replaced in one step where it differs. What was written is remembered in
// `.fealty-keys`, so that files of others stay: only a file that is listed there
// is ever removed. A list with names or keys that are none changes nothing; nor
// does one that takes away all, or most of more than kFewKeys, unless `force`: that
// is an API that has lost its data rather than customers who left.
inline constexpr std::size_t kFewKeys = 10;
[[nodiscard]] Result<SyncedKeys> sync_key_directory(
    const std::string& directory, std::string_view listed, bool force = false);

}  // namespace fealty::cli
