#include "subscription/own_sockets.h"

#include <ifaddrs.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/check.h"

namespace fealty::subscription {
namespace {

constexpr std::string_view kAnyV4 = "0.0.0.0";
constexpr std::string_view kAnyV6 = "::";
constexpr std::int64_t kInterfacesKept_ms = 1000;

}  // namespace

Address as_connected(const Address& address) {
  const std::string host = address.host();
  if (host != kAnyV4 && host != kAnyV6) return address;
  const std::string loopback = host == kAnyV6 ? "[::1]:" : "127.0.0.1:";
  auto parsed = Address::parse(loopback + std::to_string(address.port()));
  FEALTY_CHECK(parsed);
  return *parsed;
}

bool is_loopback(std::string_view host) {
  return host == "::1" || (host.starts_with("127.") &&
                           host.find(':') == host.npos);
}

void OwnSockets::add(const Address& address) {
  if (!address.is_unix()) {
    tcp_.push_back({address.host(), address.port()});
    return;
  }
  const std::string path = address.unix_path();
  if (path.empty()) return;
  paths_.push_back(path);
  struct stat status{};
  if (!path.starts_with('@') && ::stat(path.c_str(), &status) == 0) {
    files_.push_back({status.st_dev, status.st_ino});
  }
}

bool OwnSockets::holds(const Address& address) {
  if (address.is_unix()) return holds_unix(address.unix_path());
  for (const Tcp& own : tcp_) {
    if (own.port != address.port()) continue;
    if (is_reached(own, as_connected(address).host())) return true;
  }
  return false;
}

bool OwnSockets::holds_unix(const std::string& path) const {
  if (std::find(paths_.begin(), paths_.end(), path) != paths_.end()) {
    return true;
  }
  struct stat status{};
  if (files_.empty() || path.starts_with('@') ||
      ::stat(path.c_str(), &status) != 0) {
    return false;
  }
  return std::any_of(files_.begin(), files_.end(), [&](const File& file) {
    return file.device == status.st_dev && file.inode == status.st_ino;
  });
}

// An IPv6 wildcard that was passed in may take IPv4 as well.
bool OwnSockets::is_reached(const Tcp& own, const std::string& host) {
  if (own.host == host) return true;
  const bool v6 = host.find(':') != host.npos;
  const bool any = own.host == kAnyV6 || (own.host == kAnyV4 && !v6);
  return any && is_of_this_host(host);
}

bool OwnSockets::is_of_this_host(const std::string& host) {
  if (is_loopback(host)) return true;
  const std::int64_t now_ms = clock_.monotonic_ms();
  if (!is_read_ || now_ms - read_ms_ >= kInterfacesKept_ms) {
    is_read_ = true;
    read_ms_ = now_ms;
    read_interfaces();
  }
  return interfaces_.contains(host);
}

// Where the kernel does not tell, those that were read before stay.
void OwnSockets::read_interfaces() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return;
  interfaces_.clear();
  for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    const int family = at->ifa_addr == nullptr ? AF_UNSPEC
                                               : at->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    const socklen_t bytes =
        family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    interfaces_.insert(Address::from_sockaddr(at->ifa_addr, bytes).host());
  }
  ::freeifaddrs(list);
}

}  // namespace fealty::subscription
