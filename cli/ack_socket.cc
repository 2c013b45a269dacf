#include "cli/ack_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "cli/socket_path.h"

namespace fealty::cli {
namespace {

constexpr mode_t kMode = 0666;   // routers run as other users

UniqueFd datagram_socket(int family) {
  return UniqueFd(
      ::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

bool bind_to(const UniqueFd& fd, const Address& address) {
  return ::bind(fd.get(), address.data(), address.length()) == 0;
}

// The file of a socket whose owner is gone.
bool remove_stale(const Address& address) {
  const UniqueFd probe = datagram_socket(AF_UNIX);
  if (!is_path(address) ||
      ::connect(probe.get(), address.data(), address.length()) == 0 ||
      errno != ECONNREFUSED) {
    return false;
  }
  return ::unlink(address.unix_path().c_str()) == 0;
}

}  // namespace

std::string_view acknowledged_key(std::string_view text,
                                  std::string_view address) {
  constexpr std::string_view kHead = "[subscription ack] ";
  constexpr std::string_view kArrow = " => new node: ";
  if (!text.starts_with(kHead) || !text.ends_with(address)) return {};
  text.remove_prefix(kHead.size());
  text.remove_suffix(address.size());
  if (!text.ends_with(kArrow)) return {};
  text.remove_suffix(kArrow.size());
  return text;
}

AckSocket::AckSocket(Loop& loop, OnAck on_ack)
    : loop_(loop), on_ack_(std::move(on_ack)) {
  io_.bind<&AckSocket::on_readable>(loop_, this);
}

Status AckSocket::open_own() {
  auto any = Address::parse("127.0.0.1:0");
  UniqueFd fd = datagram_socket(AF_INET);
  if (!fd.valid() || !bind_to(fd, *any)) {
    return Error{std::string("no acknowledgements are heard: no UDP port of the "
                             "loopback: ") +
                 std::strerror(errno)};
  }
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &length);
  address_ = Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&bound),
                                    length)
                 .to_string();
  watch(std::move(fd));
  return Ok{};
}

Result<bool> AckSocket::open(const Address& address) {
  address_ = address.to_string();
  UniqueFd fd = datagram_socket(address.family());
  bool bound = fd.valid() && bind_to(fd, address);
  if (!bound && errno == EADDRINUSE) {
    if (!remove_stale(address)) return false;
    bound = bind_to(fd, address);
  }
  if (!bound) {
    return Error{"--notify: " + address_ + " cannot be opened: " +
                 std::strerror(errno)};
  }
  if (is_path(address)) {
    file_.emplace(address);
    ::chmod(address.unix_path().c_str(), kMode);
  }
  watch(std::move(fd));
  return true;
}

void AckSocket::watch(UniqueFd fd) {
  fd_ = std::move(fd);
  io_.start(fd_.get(), EV_READ);
}

void AckSocket::on_readable(int) {
  std::array<char, kAckBytesMax> bytes;
  const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
  if (got > 0) on_ack_({bytes.data(), static_cast<std::size_t>(got)});
}

}  // namespace fealty::cli
