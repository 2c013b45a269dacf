#include "subscription/snapshot.h"

#include <algorithm>
#include <array>

namespace fealty::subscription {

const Pool* Snapshot::find_wildcard(std::string_view host) const {
  if (!dotsplit_ || host.front() == '[') return nullptr;
  return tree_.find_above<kWildcardSteps>(host);
}

const Pool* Snapshot::find(std::string_view host,
                           std::string_view host_port) const {
  // A client that writes a wildcard as its host is not looking for a domain.
  if (host.empty() || host.front() == '.') return nullptr;
  if (!host_port.empty()) {
    if (const Pool* const pool = find_exact(host_port)) return pool;
  }
  if (const Pool* const pool = find_exact(host)) return pool;
  return find_wildcard(host);
}

// `host` with its mountpoints, the longest first, and then `host` itself.
const Pool* Snapshot::find_mounted(std::string_view host, std::string_view path,
                                   int levels) const {
  std::array<char, kKeyBytesMax> key;
  std::array<std::size_t, kMountpointLevelsMax> ends{};
  std::size_t count = 0;
  const std::size_t room = key.size() - std::min(key.size(), host.size());
  for (std::size_t at = 0; count < static_cast<std::size_t>(levels);) {
    // A component with something in it; else nothing can be mounted there.
    if (at >= path.size() || path[at] != '/') break;
    const std::size_t end = std::min(path.find('/', at + 1), path.size());
    if (end == at + 1 || end > room) break;
    ends[count++] = at = end;
  }
  if (count > 0) {
    host.copy(key.data(), host.size());
    path.copy(key.data() + host.size(), ends[count - 1]);
  }
  while (count > 0) {
    const std::string_view mounted(key.data(), host.size() + ends[--count]);
    if (const Pool* const pool = find_exact(mounted)) return pool;
  }
  return find_exact(host);
}

const Pool* Snapshot::find(std::string_view host, std::string_view host_port,
                           std::string_view path, int levels) const {
  if (levels <= 0) return find(host, host_port);
  if (host.empty() || host.front() == '.') return nullptr;
  levels = std::min(levels, kMountpointLevelsMax);
  if (!host_port.empty()) {
    if (const Pool* const pool = find_mounted(host_port, path, levels)) {
      return pool;
    }
  }
  if (const Pool* const pool = find_mounted(host, path, levels)) return pool;
  return find_wildcard(host);
}

}  // namespace fealty::subscription
