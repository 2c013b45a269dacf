#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fealty {

// A socket address: IPv4, IPv6 or a Unix path. A plain value of some 112
// bytes, ready for bind and connect. Never a name: nothing here asks a
// resolver.
//
// Text forms read by parse():
//   "127.0.0.1:80", ":80" (every IPv4 address), "[::1]:80",
//   "/run/x.sock" and "unix:/run/x.sock" (a path of at most 107 bytes),
//   "@name" and "unix:@name" (Linux's abstract namespace).
class Address {
 public:
  [[nodiscard]] static Result<Address> parse(std::string_view text);
  // The address that accept, recvfrom or getsockname wrote.
  [[nodiscard]] static Address from_sockaddr(const sockaddr* address,
                                             socklen_t length);

  Address() { storage_.base.sa_family = AF_UNSPEC; }

  [[nodiscard]] int family() const { return storage_.base.sa_family; }
  [[nodiscard]] bool is_unix() const { return family() == AF_UNIX; }
  [[nodiscard]] bool is_ip() const {
    return family() == AF_INET || family() == AF_INET6;
  }
  [[nodiscard]] const sockaddr* data() const { return &storage_.base; }
  [[nodiscard]] socklen_t length() const { return length_; }
  // None of them is undefined: they tell every address from every other.
  [[nodiscard]] std::string_view bytes() const {
    return {reinterpret_cast<const char*>(data()), length_};
  }
  // 0 for Unix addresses.
  [[nodiscard]] std::uint16_t port() const;
  // The path of a Unix address ("@name" if abstract), "" otherwise.
  [[nodiscard]] std::string unix_path() const;
  // The numeric host without brackets and port; "" for Unix addresses. An
  // IPv4 client of an IPv6 socket is shown as IPv4.
  [[nodiscard]] std::string host() const;
  // The form that parse() reads: "1.2.3.4:80", "[::1]:80", "/path".
  [[nodiscard]] std::string to_string() const;

 private:
  // The largest first: {} clears the first member, and what follows a path
  // must be zero.
  union Storage {
    sockaddr_un un;
    sockaddr base;
    sockaddr_in v4;
    sockaddr_in6 v6;
  } storage_{};
  socklen_t length_ = 0;
};

// An IP network in CIDR form, "10.0.0.0/8" or "fc00::/7"; a bare address is
// the network of that one address.
class Network {
 public:
  [[nodiscard]] static Result<Network> parse(std::string_view text);
  // False for Unix addresses and for the other family (an IPv4-mapped IPv6
  // address is looked at as IPv4).
  [[nodiscard]] bool contains(const Address& address) const;

 private:
  int family_ = AF_UNSPEC;
  unsigned prefix_bits_ = 0;
  std::uint8_t bytes_[16] = {};
};

}  // namespace fealty
