#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "subscription/pool.h"
#include "subscription/snapshot.h"

// Snapshots made by hand, for tests that need no announcements.
namespace fealty::test {

// A node to be put into a pool: keeps what a subscription::Node points to.
struct RouteNode {
  Ref<subscription::NodeRecord> runtime;
  std::uint8_t modifier1 = 0;
  std::uint8_t modifier2 = 0;
  std::uint32_t weight = 1;
  subscription::Protocol protocol = subscription::Protocol::kUwsgi;
  std::uint8_t level = 0;
};

inline RouteNode make_node(const Address& address, std::uint8_t modifier1 = 0,
                           std::uint8_t modifier2 = 0) {
  return {subscription::NodeRecord::make(address.to_string(), address),
          modifier1, modifier2};
}

// An on-demand vassal that is not up and has no address yet.
inline RouteNode make_sleeper(std::string_view vassal) {
  return {subscription::NodeRecord::make(vassal, Address(), vassal)};
}

inline RouteNode make_http_node(const Address& address) {
  RouteNode node = make_node(address);
  node.protocol = subscription::Protocol::kHttp;
  return node;
}

inline subscription::PoolRef make_pool(
    std::string_view key, const std::vector<RouteNode>& nodes,
    subscription::Algorithm algorithm = subscription::Algorithm::kWrr,
    const std::vector<RouteNode>& sleeping = {}) {
  const auto routes_to = [](const std::vector<RouteNode>& all) {
    std::vector<subscription::Node> routes;
    for (const RouteNode& node : all) {
      routes.push_back({node.runtime.get(), node.weight, node.modifier1,
                        node.modifier2, node.protocol, node.level});
    }
    return routes;
  };
  const auto routes = routes_to(nodes);
  const auto sleepers = routes_to(sleeping);
  const auto runtime = Ref<subscription::PoolRuntime>::adopt(
      new subscription::PoolRuntime);
  return subscription::Pool::make({.key = key,
                                   .algorithm = algorithm,
                                   .nodes = routes,
                                   .sleeping = sleepers,
                                   .runtime = runtime.get()});
}

inline std::shared_ptr<const subscription::Snapshot> make_snapshot(
    const std::vector<subscription::PoolRef>& pools,
    std::uint64_t version = 1) {
  auto snapshot = std::make_shared<subscription::Snapshot>(true, version);
  for (const auto& pool : pools) snapshot->put(pool);
  return snapshot;
}

}  // namespace fealty::test
