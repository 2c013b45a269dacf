#include "wire/proxy_header.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>

namespace fealty::wire {
namespace {

using State = ProxyHeader::State;
using namespace std::string_view_literals;

constexpr std::string_view kV1 = "PROXY ";
constexpr std::string_view kV2 = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr std::size_t kV2HeadBytes = 16;
constexpr unsigned char kLocal = 0x20;
constexpr unsigned char kProxied = 0x21;
constexpr unsigned char kUnspecified = 0x00;
constexpr unsigned char kTcp4 = 0x11;
constexpr unsigned char kTcp6 = 0x21;
constexpr unsigned char kUnixStream = 0x31;
constexpr std::size_t kV4Bytes = 4;
constexpr std::size_t kV6Bytes = 16;
constexpr std::size_t kPortsBytes = 4;
constexpr std::size_t kUnixBytes = 216;

Address address_of(int family, const void* host, std::uint16_t port_be) {
  if (family == AF_INET) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = port_be;
    std::memcpy(&v4.sin_addr, host, kV4Bytes);
    return Address::from_sockaddr(reinterpret_cast<sockaddr*>(&v4), sizeof v4);
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = port_be;
  std::memcpy(&v6.sin6_addr, host, kV6Bytes);
  return Address::from_sockaddr(reinterpret_cast<sockaddr*>(&v6), sizeof v6);
}

// Both begin alike, as far as the shorter one goes.
bool begins_alike(std::string_view bytes, std::string_view mark) {
  const std::size_t common = std::min(bytes.size(), mark.size());
  return bytes.substr(0, common) == mark.substr(0, common);
}

// The text up to the next blank, which is taken too; empty: there is none.
std::string_view next_word(std::string_view& rest) {
  const std::size_t blank = rest.find(' ');
  const std::string_view word = rest.substr(0, blank);
  rest = blank == rest.npos ? std::string_view{} : rest.substr(blank + 1);
  return word;
}

// 0 to 65535 in decimal, without zeros in front.
std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, port);
  const bool plain = text.size() == 1 || !text.starts_with('0');
  if (read.ec != std::errc{} || read.ptr != end || !plain) return std::nullopt;
  return port;
}

std::optional<Address> address_of(int family, std::string_view host,
                                  std::uint16_t port) {
  unsigned char bytes[kV6Bytes];
  if (host.find('\0') != host.npos) return std::nullopt;
  const std::string text(host);  // at most a line
  if (::inet_pton(family, text.c_str(), bytes) != 1) return std::nullopt;
  return address_of(family, bytes, htons(port));
}

ProxyHeader parse_v1(std::string_view bytes) {
  const std::size_t end =
      bytes.substr(0, kProxyHeaderV1BytesMax).find("\r\n");
  if (end == bytes.npos) {
    return {bytes.size() < kProxyHeaderV1BytesMax ? State::kMore : State::kBad};
  }
  ProxyHeader header{State::kWhole, end + 2};
  std::string_view rest = bytes.substr(kV1.size(), end - kV1.size());
  const std::string_view protocol = next_word(rest);
  if (protocol == "UNKNOWN") return header;
  if (protocol != "TCP4" && protocol != "TCP6") return {};
  const int family = protocol == "TCP4" ? AF_INET : AF_INET6;
  const std::string_view source = next_word(rest);
  const std::string_view destination = next_word(rest);
  const auto source_port = port_of(next_word(rest));
  const auto destination_port = port_of(rest);
  if (!source_port || !destination_port) return {};
  const auto from = address_of(family, source, *source_port);
  if (!from || !address_of(family, destination, *destination_port)) return {};
  header.source = *from;
  return header;
}

ProxyHeader parse_v2(std::string_view bytes) {
  if (bytes.size() < kV2HeadBytes) return {State::kMore};
  const auto byte_at = [&](std::size_t at) {
    return static_cast<unsigned char>(bytes[at]);
  };
  const unsigned char command = byte_at(12);
  const unsigned char family = byte_at(13);
  const std::size_t data_bytes =
      std::size_t{byte_at(14)} << 8 | byte_at(15);
  const std::size_t whole = kV2HeadBytes + data_bytes;
  if (whole > kProxyHeaderBytesMax) return {};
  if (command != kLocal && command != kProxied) return {};
  if (bytes.size() < whole) return {State::kMore};
  ProxyHeader header{State::kWhole, whole};
  if (command == kLocal || family == kUnspecified) return header;
  if (family == kUnixStream) {
    return data_bytes < kUnixBytes ? ProxyHeader{} : header;
  }
  if (family != kTcp4 && family != kTcp6) return {};
  const std::size_t host_bytes = family == kTcp4 ? kV4Bytes : kV6Bytes;
  if (data_bytes < 2 * host_bytes + kPortsBytes) return {};
  const char* const at = bytes.data() + kV2HeadBytes;
  std::uint16_t port_be = 0;
  std::memcpy(&port_be, at + 2 * host_bytes, sizeof port_be);
  header.source =
      address_of(family == kTcp4 ? AF_INET : AF_INET6, at, port_be);
  return header;
}

}  // namespace

ProxyHeader parse_proxy_header(std::string_view bytes) {
  if (begins_alike(bytes, kV2)) {
    return bytes.size() < kV2.size() ? ProxyHeader{State::kMore}
                                     : parse_v2(bytes);
  }
  if (!begins_alike(bytes, kV1)) return {};
  return bytes.size() < kV1.size() ? ProxyHeader{State::kMore}
                                   : parse_v1(bytes);
}

}  // namespace fealty::wire
