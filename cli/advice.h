#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/result.h"

namespace fealty::cli {

// What a router would refuse and why, as far as that can be known here, before
// anything is sent. Pure. Where a Result is an error, its message says what to
// write instead.

// The key in its one form (wire/subscription_key.h).
[[nodiscard]] Result<std::string> read_key(std::string_view text);

// Where the application, or a server, listens.
[[nodiscard]] Result<Address> read_address(std::string_view text);

// An absolute path without steps that a router does not follow.
[[nodiscard]] std::optional<std::string> path_problem(std::string_view path);

// "500ms", "10s", "2m", "1h", "10" (seconds).
[[nodiscard]] Result<std::int64_t> read_duration_ms(std::string_view text);

// Loopback, a private network or a Unix socket: what routers allow as a node's
// address unless they are told otherwise.
[[nodiscard]] bool allowed_by_default(const Address& address);
[[nodiscard]] bool is_loopback(const Address& address);
// 0.0.0.0 or [::]: the host itself, to whoever connects there.
[[nodiscard]] bool is_wildcard(const Address& address);

}  // namespace fealty::cli
