#pragma once

#include <sys/types.h>

namespace fealty::subscription {

// Who sent a datagram, as the kernel says (Unix sockets only).
struct Credentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

}  // namespace fealty::subscription
