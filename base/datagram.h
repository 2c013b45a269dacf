#pragma once

#include <sys/socket.h>

#include <cstring>
#include <optional>

#include "base/fd.h"

namespace fealty {

// What the datagram sockets of the programs have in common. Any thread.

// One that never waits; not valid where the system has none: errno says why.
[[nodiscard]] inline UniqueFd datagram_socket(int family) {
  return UniqueFd(
      ::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

// Room for what arrives while the thread does something else, or goes out at
// once. Only root gets past the system's limit; less is no error.
inline void raise_buffer(int fd, int option, int forced, int bytes) {
  if (::setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof bytes) == 0) return;
  ::setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof bytes);
}
inline void raise_receive_buffer(int fd, int bytes) {
  raise_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE, bytes);
}
inline void raise_send_buffer(int fd, int bytes) {
  raise_buffer(fd, SO_SNDBUF, SO_SNDBUFFORCE, bytes);
}

// Room for the kernel's word on who sent a datagram (SO_PASSCRED).
inline constexpr std::size_t kSenderControlBytes = CMSG_SPACE(sizeof(ucred));

// That word, where it gave one.
[[nodiscard]] inline std::optional<ucred> sender_of(msghdr& message) {
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr;
       at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_CREDENTIALS ||
        at->cmsg_len < CMSG_LEN(sizeof(ucred))) {
      continue;
    }
    ucred sender{};
    std::memcpy(&sender, CMSG_DATA(at), sizeof sender);
    return sender;
  }
  return std::nullopt;
}

}  // namespace fealty
