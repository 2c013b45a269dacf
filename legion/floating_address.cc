#include "legion/floating_address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <charconv>

namespace fealty::legion {
namespace {

constexpr std::string_view kDevice = " dev ";

Error wrong(std::string_view text) {
  return Error{"'" + std::string(text) +
               "' is not ADDRESS/PREFIX dev INTERFACE, such as 10.1.0.100/24 "
               "dev eth0"};
}

bool is_interface(std::string_view name) {
  if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == "..") {
    return false;
  }
  for (const char c : name) {
    if (c <= ' ' || c >= 0x7f || c == '/' || c == ':') return false;
  }
  return true;
}

}  // namespace

Result<FloatingAddress> FloatingAddress::parse(std::string_view text) {
  const std::size_t device = text.find(kDevice);
  const std::size_t slash = text.find('/');
  if (device == text.npos || slash == text.npos || slash > device) {
    return wrong(text);
  }
  FloatingAddress out;
  const std::string host(text.substr(0, slash));
  out.family = host.find(':') == host.npos ? AF_INET : AF_INET6;
  if (::inet_pton(out.family, host.c_str(), out.bytes.data()) != 1) {
    return wrong(text);
  }
  const std::string_view prefix = text.substr(slash + 1, device - slash - 1);
  const auto [end, error] = std::from_chars(
      prefix.data(), prefix.data() + prefix.size(), out.prefix_bits);
  if (error != std::errc{} || end != prefix.data() + prefix.size() ||
      out.prefix_bits == 0 || out.prefix_bits > 8 * out.size()) {
    return wrong(text);
  }
  out.interface = text.substr(device + kDevice.size());
  if (!is_interface(out.interface)) return wrong(text);
  return out;
}

std::size_t FloatingAddress::size() const { return family == AF_INET ? 4 : 16; }

std::string FloatingAddress::to_string() const {
  char host[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(family, bytes.data(), host, sizeof host);
  return std::string(host) + "/" + std::to_string(prefix_bits) + " dev " +
         interface;
}

}  // namespace fealty::legion
