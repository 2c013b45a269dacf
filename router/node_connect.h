#pragma once

#include <string>
#include <vector>

#include "base/address.h"

namespace fealty::router {

// Begins to connect the nonblocking socket `fd` to a node: 0, or the errno that
// connect() gives.
//
// A node's path may have become a link since it was announced. Where only some
// prefixes are allowed (`prefixes`, of paths; none: every path is), it is opened
// below its prefix first, and what is connected to is what was opened: EXDEV
// where a link leaves it. That costs five system calls more, and needs /proc. A
// path outside all prefixes is one of the configuration's nodes, which may be
// anywhere.
[[nodiscard]] int connect_node(int fd, const Address& address,
                               const std::vector<std::string>& prefixes);

}  // namespace fealty::router
