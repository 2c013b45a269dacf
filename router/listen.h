#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/address.h"
#include "base/fd.h"
#include "base/result.h"

namespace fealty::router {

// Listening sockets, nonblocking, made before privileges are dropped.

struct ListenOptions {
  bool reuse_port = false;          // one socket a worker on one address
  std::optional<mode_t> mode;       // of a Unix socket's file
};

// Fails where another process listens on the address already, which
// SO_REUSEPORT alone would let pass: both would get a share of the requests.
[[nodiscard]] Status check_address_free(const Address& address);

// A TCP (TCP_NODELAY, which accepted connections inherit) or Unix stream
// socket. A Unix socket's file that nobody listens on is replaced.
[[nodiscard]] Result<UniqueFd> listen_on(const Address& address,
                                         const ListenOptions& options);

// A socket that the process was given ("fd:3"); fails unless it listens.
[[nodiscard]] Result<UniqueFd> adopt_listener(int fd);

// The address that a socket is bound to.
[[nodiscard]] Address bound_address(int fd);

}  // namespace fealty::router
