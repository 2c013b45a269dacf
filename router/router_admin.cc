// What the admin listener answers.

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "router/router.h"
#include "router/stats.h"
#include "subscription/key.h"

namespace fealty::router {

Admin::Answer Router::on_admin(const Admin::Request& request) {
  constexpr std::string_view kOrders[] = {"/drain", "/undrain"};
  constexpr std::string_view kPages[] = {"/", "/metrics", "/healthz",
                                         "/explain"};
  const auto is_among = [&](const auto& paths) {
    return std::find(std::begin(paths), std::end(paths), request.path) !=
           std::end(paths);
  };
  if (is_among(kOrders)) {
    if (request.method != "POST") {
      return {405, "text/plain", "POST only\n", "POST"};
    }
    return drain(request.query, request.path == "/drain");
  }
  if (!is_among(kPages)) {
    return {404, "text/plain",
            "there are / /metrics /healthz /explain?host=HOST[&path=PATH], and for "
            "POST "
            "/drain?key=KEY&node=NODE /undrain?key=KEY&node=NODE\n"};
  }
  if (request.method != "GET") {
    return {405, "text/plain", "GET only\n", "GET, HEAD"};
  }
  return show(request);
}

Admin::Answer Router::show(const Admin::Request& request) const {
  const StatsSource source{options_, subscriptions_, *published_, workers_,
                           shared_,  spawner_, health_ ? &*health_ : nullptr,
                           identities_, clock_,
                           access_log_ ? &*access_log_ : nullptr};
  if (request.path == "/") {
    return {200, "application/json", stats_json(source)};
  }
  if (request.path == "/metrics") {
    return {200, "text/plain; version=0.0.4", metrics_text(source)};
  }
  if (request.path == "/healthz") {
    return draining_ ? Admin::Answer{503, "text/plain", "draining\n"}
                     : Admin::Answer{200, "text/plain", "ok\n"};
  }
  const std::string host = query_value(request.query, "host");
  if (host.empty()) {
    return {400, "text/plain", "/explain?host=HOST[&path=PATH]\n"};
  }
  return {200, "application/json",
          explain_json(source, host, query_value(request.query, "path"))};
}

Admin::Answer Router::drain(std::string_view query, bool drained) {
  using Outcome = subscription::Table::Drain;
  const std::string asked = query_value(query, "key");
  const std::string node = query_value(query, "node");
  if (asked.empty() || node.empty()) {
    return {400, "text/plain", "?key=KEY&node=NODE is needed\n"};
  }
  std::string key;
  const Outcome outcome =
      subscription::normalise_key(asked, key)
          ? subscriptions_.set_drained(key, node, drained)
          : Outcome::kNoKey;
  const std::string what = node + " of " + key;
  const std::string_view state = drained ? "drained" : "in use";
  switch (outcome) {
    case Outcome::kNoKey:
      return {404, "text/plain", "nothing is subscribed to " + asked + "\n"};
    case Outcome::kNoNode:
      return {404, "text/plain",
              key + " has no node " + node + "; GET / lists its nodes\n"};
    case Outcome::kAlready:
      return {200, "text/plain",
              fmt::format("{} was {} already\n", what, state)};
    case Outcome::kDone: break;
  }
  return {200, "text/plain", fmt::format("{} is {}\n", what, state)};
}

}  // namespace fealty::router
