#include "legion/transport.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace fealty::legion {
namespace {

constexpr int kQueueBytes = 4 << 20;

Error failed(std::string_view what, const Address& address) {
  return Error{"cannot " + std::string(what) + " " + address.to_string() +
               ": " + std::strerror(errno)};
}

const sockaddr_in& as_v4(const Address& address) {
  return *reinterpret_cast<const sockaddr_in*>(address.data());
}
const sockaddr_in6& as_v6(const Address& address) {
  return *reinterpret_cast<const sockaddr_in6*>(address.data());
}

}  // namespace

bool is_multicast(const Address& address) {
  if (address.family() == AF_INET) {
    return IN_MULTICAST(ntohl(as_v4(address).sin_addr.s_addr));
  }
  return address.family() == AF_INET6 &&
         IN6_IS_ADDR_MULTICAST(&as_v6(address).sin6_addr);
}

Status Transport::bind(const Address& address, const std::string& interface) {
  multicast_ = legion::is_multicast(address);
  fd_.reset(::socket(address.family(),
                     SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_.valid()) return failed("make a socket for", address);
  const int on = 1;
  if (multicast_) {
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  }
  // As much as the system allows: what others send at us does not crowd out the
  // members' packets while this process is late.
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &kQueueBytes,
               sizeof kQueueBytes);
  if (address.family() == AF_INET6) {
    ::setsockopt(fd_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  }
  if (::bind(fd_.get(), address.data(), address.length()) != 0) {
    return failed("listen on", address);
  }
  sockaddr_storage storage{};
  socklen_t bytes = sizeof storage;
  ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&storage), &bytes);
  bound_ = Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), bytes);
  return multicast_ ? join(address, interface) : Status(Ok{});
}

Status Transport::join(const Address& group, const std::string& interface) {
  const unsigned index =
      interface.empty() ? 0 : ::if_nametoindex(interface.c_str());
  if (index == 0 && !interface.empty()) {
    return Error{"no interface '" + interface + "' to join " +
                 group.to_string() + " on"};
  }
  int done = 0;
  if (group.family() == AF_INET) {
    ip_mreqn request{};
    request.imr_multiaddr = as_v4(group).sin_addr;
    request.imr_ifindex = static_cast<int>(index);
    done = ::setsockopt(fd_.get(), IPPROTO_IP, IP_ADD_MEMBERSHIP, &request,
                        sizeof request);
    if (done == 0 && index != 0) {
      done = ::setsockopt(fd_.get(), IPPROTO_IP, IP_MULTICAST_IF, &request,
                          sizeof request);
    }
  } else {
    ipv6_mreq request{};
    request.ipv6mr_multiaddr = as_v6(group).sin6_addr;
    request.ipv6mr_interface = index;
    done = ::setsockopt(fd_.get(), IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &request,
                        sizeof request);
    if (done == 0 && index != 0) {
      done = ::setsockopt(fd_.get(), IPPROTO_IPV6, IPV6_MULTICAST_IF, &index,
                          sizeof index);
    }
  }
  return done == 0 ? Status(Ok{}) : failed("join", group);
}

void Transport::send(std::string_view datagram) {
  if (multicast_) send_to(datagram, bound_);
  for (const Address& node : nodes_) send_to(datagram, node);
}

void Transport::send_to(std::string_view datagram, const Address& to) {
  const ssize_t sent = ::sendto(fd_.get(), datagram.data(), datagram.size(), 0,
                                to.data(), to.length());
  ++(sent < 0 ? counters_.send_errors : counters_.sent);
}

bool Transport::receive(
    const std::function<void(std::string_view, const Address&)>& each) {
  for (int i = 0; i < kPerTurn; ++i) {
    sockaddr_storage from{};
    socklen_t bytes = sizeof from;
    const ssize_t got =
        ::recvfrom(fd_.get(), buffer_.data(), buffer_.size(), 0,
                   reinterpret_cast<sockaddr*>(&from), &bytes);
    // An error here is another packet's echo (ICMP), or nothing is left.
    if (got < 0) return errno != EAGAIN && errno != EWOULDBLOCK;
    ++counters_.received;
    each({buffer_.data(), static_cast<std::size_t>(got)},
         Address::from_sockaddr(reinterpret_cast<sockaddr*>(&from), bytes));
  }
  return true;
}

}  // namespace fealty::legion
