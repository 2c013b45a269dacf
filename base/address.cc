#include "base/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>

namespace fealty {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";

template <typename T>
bool parse_number(std::string_view text, T& out) {
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() &&
         !text.empty();
}

Error bad(std::string_view text, std::string_view why) {
  return Error{"'" + std::string(text) + "' is not an address: " +
               std::string(why) +
               " (ip:port, [ipv6]:port, or the path of a Unix socket)"};
}

// inet_pton wants a terminated string, and would read "127.0.0.1\0junk" as far
// as the NUL; numeric hosts are short.
bool parse_host(int family, std::string_view host, void* out) {
  char text[INET6_ADDRSTRLEN] = {};
  if (host.size() >= sizeof text || host.find('\0') != host.npos) return false;
  std::memcpy(text, host.data(), host.size());
  return inet_pton(family, text, out) == 1;
}

// Where an IPv6 address maps an IPv4 one, the four bytes of that; else null.
const std::uint8_t* mapped_v4(const in6_addr& address) {
  return IN6_IS_ADDR_V4MAPPED(&address) ? address.s6_addr + 12 : nullptr;
}

}  // namespace

Result<Address> Address::parse(std::string_view text) {
  Address result;
  std::string_view path = text;
  if (path.starts_with(kUnixPrefix)) path.remove_prefix(kUnixPrefix.size());
  if (path.starts_with('/') || path.starts_with('@')) {
    sockaddr_un& un = result.storage_.un;
    if (path.size() >= sizeof un.sun_path) return bad(text, "path too long");
    if (path.find('\0') != path.npos) return bad(text, "it holds a NUL");
    un.sun_family = AF_UNIX;
    std::memcpy(un.sun_path, path.data(), path.size());
    const bool abstract = path.front() == '@';
    if (abstract) un.sun_path[0] = '\0';
    result.length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) +
                                            path.size() + (abstract ? 0 : 1));
    return result;
  }

  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) return bad(text, "no port");
  std::string_view host = text.substr(0, colon);
  std::uint16_t port = 0;
  if (!parse_number(text.substr(colon + 1), port)) {
    return bad(text, "the port is no number from 0 to 65535");
  }
  if (host.starts_with('[') && host.ends_with(']')) {
    sockaddr_in6& v6 = result.storage_.v6;
    if (!parse_host(AF_INET6, host.substr(1, host.size() - 2),
                    &v6.sin6_addr)) {
      return bad(text, "no IPv6 address between the brackets");
    }
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    result.length_ = sizeof v6;
    return result;
  }
  sockaddr_in& v4 = result.storage_.v4;
  if (!host.empty() && !parse_host(AF_INET, host, &v4.sin_addr)) {
    return bad(text, "the host is not numeric");
  }
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  result.length_ = sizeof v4;
  return result;
}

Address Address::from_sockaddr(const sockaddr* address, socklen_t length) {
  Address result;
  const socklen_t fits =
      std::min(length, static_cast<socklen_t>(sizeof result.storage_));
  std::memcpy(&result.storage_, address, fits);
  result.length_ = fits;
  return result;
}

std::uint16_t Address::port() const {
  switch (family()) {
    case AF_INET: return ntohs(storage_.v4.sin_port);
    case AF_INET6: return ntohs(storage_.v6.sin6_port);
    default: return 0;
  }
}

std::string Address::unix_path() const {
  constexpr std::size_t kHead = offsetof(sockaddr_un, sun_path);
  if (!is_unix() || length_ <= kHead) return {};
  const char* path = storage_.un.sun_path;
  if (path[0] == '\0') return "@" + std::string(path + 1, length_ - kHead - 1);
  return std::string(path, strnlen(path, length_ - kHead));
}

std::string Address::host() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (family() == AF_INET) {
    inet_ntop(AF_INET, &storage_.v4.sin_addr, text, sizeof text);
  } else if (family() == AF_INET6) {
    const in6_addr& v6 = storage_.v6.sin6_addr;
    if (const std::uint8_t* v4 = mapped_v4(v6)) {
      inet_ntop(AF_INET, v4, text, sizeof text);
    } else {
      inet_ntop(AF_INET6, &v6, text, sizeof text);
    }
  }
  return text;
}

std::string Address::to_string() const {
  if (is_unix()) return unix_path();
  if (!is_ip()) return {};
  const std::string name = host();
  const std::string port_text = std::to_string(port());
  const bool brackets = name.find(':') != name.npos;
  return brackets ? "[" + name + "]:" + port_text : name + ":" + port_text;
}

Result<Network> Network::parse(std::string_view text) {
  const Error error{"'" + std::string(text) +
                    "' is not a network (10.0.0.0/8, fc00::/7)"};
  Network result;
  const std::size_t slash = text.find('/');
  const std::string_view host = text.substr(0, slash);
  result.family_ = host.find(':') == host.npos ? AF_INET : AF_INET6;
  if (!parse_host(result.family_, host, result.bytes_)) return error;
  const unsigned width = result.family_ == AF_INET ? 32 : 128;
  result.prefix_bits_ = width;
  if (slash != text.npos &&
      (!parse_number(text.substr(slash + 1), result.prefix_bits_) ||
       result.prefix_bits_ > width)) {
    return error;
  }
  return result;
}

bool Network::contains(const Address& address) const {
  const std::uint8_t* bytes = nullptr;
  int family = address.family();
  if (family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address.data());
    bytes = reinterpret_cast<const std::uint8_t*>(&v4->sin_addr);
  } else if (family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address.data());
    bytes = mapped_v4(v6->sin6_addr);
    family = bytes != nullptr ? AF_INET : AF_INET6;
    if (bytes == nullptr) bytes = v6->sin6_addr.s6_addr;
  }
  if (bytes == nullptr || family != family_) return false;
  const unsigned whole = prefix_bits_ / 8;
  if (std::memcmp(bytes, bytes_, whole) != 0) return false;
  const unsigned rest = prefix_bits_ % 8;
  if (rest == 0) return true;
  const unsigned mask = 0xFFU << (8 - rest) & 0xFFU;
  return ((bytes[whole] ^ bytes_[whole]) & mask) == 0;
}

}  // namespace fealty
