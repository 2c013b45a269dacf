#include "router/listen.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "base/socket_file.h"

namespace fealty::router {
namespace {

constexpr int kBacklog = 4096;

Error failed(const std::string& what, const Address& address) {
  return Error{"cannot " + what + " " + address.to_string() + ": " +
               std::strerror(errno)};
}

UniqueFd stream_socket(const Address& address) {
  UniqueFd fd(::socket(address.family(),
                       SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return fd;
  const int on = 1;
  if (address.is_ip()) {
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  // "[::]:80" is IPv6 alone; "0.0.0.0:80" stands beside it.
  if (address.family() == AF_INET6) {
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  }
  return fd;
}

}  // namespace

Status check_address_free(const Address& address) {
  if (!address.is_ip() || address.port() == 0) return Ok{};
  const UniqueFd probe = stream_socket(address);
  if (!probe.valid()) return failed("make a socket for", address);
  if (::bind(probe.get(), address.data(), address.length()) != 0) {
    return failed("listen on", address);
  }
  return Ok{};
}

Result<UniqueFd> listen_on(const Address& address,
                           const ListenOptions& options) {
  if (address.is_unix()) {
    if (const Status removed = remove_stale_socket(address, SOCK_STREAM);
        !removed) {
      return removed.error();
    }
  }
  UniqueFd fd = stream_socket(address);
  if (!fd.valid()) return failed("make a socket for", address);
  const int on = 1;
  if (options.reuse_port &&
      ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) {
    return failed("share", address);
  }
  if (::bind(fd.get(), address.data(), address.length()) != 0) {
    return failed("listen on", address);
  }
  if (address.is_unix() && options.mode &&
      ::chmod(address.unix_path().c_str(), *options.mode) != 0) {
    return failed("set the mode of", address);
  }
  if (::listen(fd.get(), kBacklog) != 0) return failed("listen on", address);
  return fd;
}

Result<UniqueFd> adopt_listener(int fd) {
  int listening = 0;
  socklen_t bytes = sizeof listening;
  if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &bytes) != 0 ||
      listening == 0) {
    return Error{"fd:" + std::to_string(fd) +
                 " is not a listening socket that was passed in"};
  }
  UniqueFd own(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!own.valid()) {
    return Error{"cannot use fd:" + std::to_string(fd) + ": " +
                 std::strerror(errno)};
  }
  ::fcntl(own.get(), F_SETFL, ::fcntl(own.get(), F_GETFL) | O_NONBLOCK);
  return own;
}

Address bound_address(int fd) {
  sockaddr_storage storage{};
  socklen_t bytes = sizeof storage;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &bytes);
  return Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), bytes);
}

}  // namespace fealty::router
