// /explain: why a request goes where it goes.

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "router/json_text.h"
#include "router/route.h"
#include "router/stats.h"
#include "subscription/choose.h"

namespace fealty::router {
namespace {

using Json = nlohmann::ordered_json;
using subscription::Algorithm;
using subscription::Node;
using subscription::NodeRecord;
using subscription::NodeRuntime;
using subscription::Pool;

std::string_view meaning_of(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kWrr: return "by weight, in turn";
    case Algorithm::kLrc: return "the fewest requests under way";
    case Algorithm::kWlrc:
      return "the fewest requests under way, divided by the weight";
    case Algorithm::kIphash: return "by the client's address";
    case Algorithm::kSticky:
      return "the node that the client's cookie names, else by weight, in turn";
  }
  return "";
}

// Which of the rules found the key.
std::string rule_for(std::string_view key, const http::Host& host) {
  const std::string_view site = key.substr(0, key.find('/'));
  std::string rule = site == host.host_port() ? "host and port"
                     : site == host.host()    ? "exact"
                                              : "wildcard";
  if (site.size() < key.size()) rule += ", with a mountpoint";
  return rule;
}

std::string failures_of(const NodeRuntime& node) {
  return "could not be reached " +
         std::to_string(node.connect_failures.load()) +
         " times, was too slow " + std::to_string(node.timeouts.load()) +
         " times, ended without an answer " +
         std::to_string(node.early_closes.load()) + " times";
}

// What is said of the nodes of one pool, at one moment.
class NodeExplainer {
 public:
  NodeExplainer(const Pool& pool, bool has_emperor)
      : pool_(pool), has_emperor_(has_emperor), now_ms_(coarse_monotonic_ms()),
        level_(subscription::level_in_use(pool, now_ms_)) {}

  [[nodiscard]] Json nodes() const {
    Json all = Json::array();
    for (const Node& node : pool_.nodes()) all.push_back(awake(node));
    for (const Node& node : pool_.sleeping()) all.push_back(asleep(node));
    return all;
  }

 private:
  static Json described(const Node& node) {
    Json json = {{"name", node.name()}};
    if (!node.runtime->vassal().empty()) {
      json["vassal"] = node.runtime->vassal();
    }
    json["weight"] = node.weight;
    json["level"] = node.level;
    json["proto"] = subscription::to_string(node.protocol);
    return json;
  }

  [[nodiscard]] Json awake(const Node& node) const {
    Json json = described(node);
    json["requests_under_way"] = node.runtime->in_flight.load();
    json["share_percent"] =
        subscription::share_percent(pool_, node, now_ms_);
    json["eligible"] = level_ && node.level == *level_ &&
                       node.runtime->available(now_ms_);
    json["why"] = why(node);
    return json;
  }

  [[nodiscard]] std::string why(const Node& node) const {
    const NodeRuntime& runtime = *node.runtime;
    const std::string_view otherwise =
        level_ ? "" : "; used all the same, since no node is any better";
    if (!runtime.healthy()) {
      return "ill: the last active check failed" + std::string(otherwise);
    }
    if (runtime.resting(now_ms_)) {
      return "rests after " + std::to_string(runtime.failures_in_a_row()) +
             " failures in a row, for another " +
             std::to_string(runtime.rest_until_ms.load() - now_ms_) +
             " ms (it " + failures_of(runtime) + ")" + std::string(otherwise);
    }
    if (node.level != *level_) {
      return "a backup: level " + std::to_string(*level_) + " has a node";
    }
    if (subscription::share_percent(pool_, node, now_ms_) < 100) {
      return "takes requests; its share grows (slow start)";
    }
    return "takes requests, as far as is known";
  }

  [[nodiscard]] Json asleep(const Node& node) const {
    Json json = described(node);
    json["eligible"] = false;
    json["sleeping"] = true;
    json["why"] =
        has_emperor_
            ? "sleeps: the Emperor is asked for it when no other node answers"
            : "sleeps, and nobody is asked to wake it (subscription.emperor)";
    return json;
  }

  const Pool& pool_;
  bool has_emperor_;
  std::int64_t now_ms_;
  std::optional<std::size_t> level_;
};

// They are in no snapshot: no request sees them.
void add_drained(Json& nodes, const StatsSource& source,
                 std::string_view key) {
  const auto add = [&](const subscription::Table::PoolView& pool) {
    for (const NodeRecord* node : pool.nodes) {
      if (!node->drained) continue;
      nodes.push_back({{"name", node->name()},
                       {"weight", node->weight},
                       {"proto", subscription::to_string(node->protocol)},
                       {"eligible", false},
                       {"why", "drained by an operator, until it comes anew or "
                               "POST /undrain?key=KEY&node=NODE"}});
    }
  };
  source.subscriptions.table().with_pool(key, add);
}

// What a TLS client is served who asks for this host.
void add_identity(Json& json, const sni::Identity* identity,
                  std::string_view host) {
  json["certificate"] = nullptr;
  json["certificate_warning"] = nullptr;
  json["client_policy"] = nullptr;
  if (identity == nullptr) return;
  Json kinds = Json::array();
  constexpr std::string_view kNames[sni::kKeyKinds] = {"ecdsa", "rsa"};
  for (std::size_t i = 0; i < sni::kKeyKinds; ++i) {
    if (identity->slots()[i] != nullptr) kinds.push_back(kNames[i]);
  }
  json["certificate"] = {{"name", identity->key()},
                         {"keys", std::move(kinds)},
                         {"expires", identity->not_after_s()}};
  if (!identity->names(std::string(host))) {
    json["certificate_warning"] =
        "it does not name this host: most clients will refuse it";
  }
  if (const auto& policy = identity->policy()) {
    json["client_policy"] = policy->demands() ? "demands" : "asks";
  }
}

// What the key's announcements demand of clients, and what comes of it.
void add_client_rule(Json& json, const StatsSource& source, const Pool& pool) {
  using subscription::ClientRule;
  json["client_rule"] = subscription::to_string(pool.client_rule());
  json["client_rule_problem"] = nullptr;
  if (pool.client_rule() == ClientRule::kUnusable) {
    json["client_rule_problem"] =
        "a node demands client certificates (sni_ca begins with `!`), and no "
        "certificate and client CA that can be used came with it: requests over "
        "HTTPS get 503, over HTTP what tls.plain_http_for_client_auth says";
  } else if (source.identities.conflict(pool.key())) {
    json["client_rule_problem"] =
        "the keys and nodes of this domain want different things of clients: "
        "only those get in whom all of them let in";
  }
}

void explain_pool(const StatsSource& source, const Pool& pool,
                  const http::Host& host, Json& json) {
  const Options& options = source.options;
  json["key"] = pool.key();
  json["rule"] = rule_for(pool.key(), host);
  json["algorithm"] = subscription::to_string(pool.algorithm());
  json["chooses"] = meaning_of(pool.algorithm());
  add_identity(json, source.identities.serving(host.host()),
               host.host());
  const std::string problem =
      source.subscriptions.materials().problem(pool.key());
  json["certificate_problem"] = problem.empty() ? Json() : Json(problem);
  add_client_rule(json, source, pool);
  if (pool.nodes().empty()) {
    const bool wakes = options.emperor && !pool.vassal_to_wake().empty();
    json["why"] =
        wakes ? "nobody is up: a request waits for the vassal to start, up to "
                "timeouts.spawn"
              : "no node is in use: a request waits up to limits.hold";
  }
  json["nodes"] = NodeExplainer(pool, options.emperor.has_value()).nodes();
  add_drained(json["nodes"], source, pool.key());
}

}  // namespace

std::string explain_json(const StatsSource& source, std::string_view text,
                         std::string_view path) {
  http::Host host;
  if (!http::normalise_host(text, host)) {
    return dumped({{"host", std::string(text)},
                   {"answer", 400},
                   {"why", "not a host with an optional port"}});
  }
  path = path.substr(0, path.find_first_of("?#"));
  if (path.empty()) path = "/";
  Json json = {{"host", std::string(host.host())}, {"path", std::string(path)}};
  std::string scratch(path.size(), '\0');
  const Route route = find_route(source.snapshot, source.options.routes, host,
                                 path, Listener::kHttpPort, scratch);
  if (route.pool != nullptr) {
    explain_pool(source, *route.pool, host, json);
    return dumped(json);
  }
  json["answer"] = route.bad_path ? 400 : 404;
  json["why"] = route.bad_path ? "an escape of the path is broken"
                               : "nothing has subscribed to it, nor to a "
                                 "wildcard above it";
  return dumped(json);
}

}  // namespace fealty::router
