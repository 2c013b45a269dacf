#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/address.h"
#include "base/result.h"

namespace fealty::cli {

// Whether it is a Unix socket's that has a file.
[[nodiscard]] bool is_path(const Address& address);

// The Unix socket that an application is to listen on. All of these do nothing
// for other addresses.

// Whether something takes connections there now. Also for TCP, where it is
// known at once on this host; never waits.
[[nodiscard]] bool answers_now(const Address& address);

// A socket file that nobody listens on any more: many applications cannot bind
// while it is there. Returns whether one was removed.
bool remove_dead_socket(const Address& address);

// Sets the file's mode, where one is asked for, so that a router that runs as
// another user may connect. The error says what stays as it is.
[[nodiscard]] Status set_mode(const Address& address,
                              std::optional<mode_t> mode);

// Why a router that runs as another user may not connect; empty if it may.
[[nodiscard]] std::string mode_problem(const Address& address);

}  // namespace fealty::cli
