#include "router/route.h"

#include "base/check.h"

namespace fealty::router {
namespace {

// As the application will see it; false where an escape is broken.
bool normalise_path(std::string_view& path, std::span<char> scratch) {
  FEALTY_CHECK(scratch.size() >= path.size());
  if (path.find("/.") != path.npos) {
    path = {scratch.data(), http::remove_dot_segments(path, scratch.data())};
  }
  if (path.find('%') == path.npos) return true;
  const std::size_t bytes = http::percent_decode(path, scratch.data());
  if (bytes == SIZE_MAX) return false;
  path = {scratch.data(), bytes};
  return true;
}

}  // namespace

Route find_route(const subscription::Snapshot& snapshot,
                 const RouteRules& rules, http::Host& host,
                 RoutePath wanted, std::uint16_t default_port,
                 std::span<char> scratch) {
  const int levels = static_cast<int>(rules.mountpoints);
  std::string_view path = wanted.text;
  if (levels > 0 && !wanted.decoded && !normalise_path(path, scratch)) {
    return {nullptr, true};
  }
  if (!rules.expect_port_in_key) {
    return {snapshot.find(host.host(), host.host_port(), path, levels)};
  }
  if (host.host_port().empty()) http::add_port(host, default_port);
  // No wildcard ends with a port: nothing but the key itself is found so.
  return {snapshot.find(host.host_port(), {}, path, levels)};
}

}  // namespace fealty::router
