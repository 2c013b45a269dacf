#include "router/stats.h"

#include <unistd.h>

#include <array>
#include <initializer_list>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "router/json_text.h"

namespace fealty::router {
namespace {

using Json = nlohmann::ordered_json;
using subscription::NodeRecord;
using subscription::NodeRuntime;
using subscription::Rejection;

std::uint64_t read(const std::atomic<std::uint64_t>& count) {
  return count.load(std::memory_order_relaxed);
}

template <typename Pick>
std::uint64_t sum(const StatsSource& source, Pick pick) {
  std::uint64_t total = 0;
  for (const auto& worker : source.workers) {
    total += read(pick(worker->counters()));
  }
  return total;
}

Json node_json(const NodeRecord& record) {
  const NodeRuntime& runtime = record;
  const auto sender = record.sender().value_or(subscription::Credentials{});
  return {
      {"name", record.name()},
      {"vassal", record.vassal()},
      {"modifier1", record.modifier1},
      {"modifier2", record.modifier2},
      {"last_check", record.last_seen_unix_s},
      {"pid", sender.pid},
      {"uid", sender.uid},
      {"gid", sender.gid},
      {"requests", read(runtime.requests)},
      {"last_requests", static_cast<std::uint32_t>(read(runtime.requests)) -
                            record.requests_when_seen},
      {"tx", read(runtime.sent_bytes)},
      {"rx", read(runtime.received_bytes)},
      {"cores", record.cores},
      {"load", record.load},
      {"weight", record.weight},
      {"backup", record.backup},
      {"proto", subscription::to_string(record.protocol)},
      {"wrr", 0},
      {"ref", runtime.in_flight.load(std::memory_order_relaxed)},
      {"failcnt", runtime.failed()},
      {"death_mark", 0},
      {"resting", runtime.resting(coarse_monotonic_ms())},
      {"sleeping", static_cast<bool>(record.sleeping)},
      {"healthy", runtime.healthy()},
      {"drained", static_cast<bool>(record.drained)},
      {"static", static_cast<bool>(record.permanent)},
  };
}

Json pools_json(const StatsSource& source) {
  Json pools = Json::array();
  source.subscriptions.table().for_each_pool(
      [&](const subscription::Table::PoolView& pool) {
        Json nodes = Json::array();
        for (const NodeRecord* record : pool.nodes) {
          nodes.push_back(node_json(*record));
        }
        pools.push_back({{"key", pool.key},
                         {"hash", pool.hash},
                         {"hits", pool.hits},
                         {"sni_enabled",
                          source.identities.find(pool.key) != nullptr ? 1 : 0},
                         {"algo", subscription::to_string(pool.algorithm)},
                         {"nodes", std::move(nodes)}});
      });
  return pools;
}

Json rejections_json(const subscription::Server& server) {
  Json reasons = Json::object();
  const auto& rejected = server.refusals().total();
  for (std::size_t i = 0; i < rejected.size(); ++i) {
    reasons[std::string(to_string(static_cast<Rejection>(i)))] = rejected[i];
  }
  return reasons;
}

Json worker_json(const Worker& worker) {
  const Counters& counters = worker.counters();
  return {{"accepted", read(counters.accepted)},
          {"active_sessions", read(counters.active)},
          {"requests", read(counters.requests)},
          {"errors", read(counters.own_errors)},
          {"retries", read(counters.retries)},
          {"truncated", read(counters.truncated)},
          {"rx", read(counters.received_bytes)},
          {"tx", read(counters.sent_bytes)}};
}

// What an announcement brought need not be printable; a label's value escapes
// backslash, quote and newline only.
std::string label(std::string_view text) {
  std::string out;
  for (const char c : log::printable(text)) {
    if (c == '\\' || c == '"') out += '\\';
    out += c;
  }
  return out;
}

void add_head(std::string& out, std::string_view name, std::string_view type,
              std::string_view help) {
  out.append("# HELP ").append(name).append(" ").append(help);
  out.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
}

using Labels =
    std::initializer_list<std::pair<std::string_view, std::string_view>>;

void add_sample(std::string& out, std::string_view name, Labels labels,
                std::uint64_t value) {
  out.append(name).append("{");
  bool first = true;
  for (const auto& [key, text] : labels) {
    out.append(std::exchange(first, false) ? "" : ",");
    out.append(key).append("=\"").append(label(text)).append("\"");
  }
  out.append("} ").append(std::to_string(value)).append("\n");
}

// One metric with one value.
void add_metric(std::string& out, std::string_view name, std::string_view type,
                std::string_view help, std::uint64_t value) {
  add_head(out, name, type, help);
  out.append(name).append(" ").append(std::to_string(value)).append("\n");
}

void add_answers(std::string& out, const StatsSource& source) {
  out += "# HELP fealty_answers_total Answers by status class.\n"
         "# TYPE fealty_answers_total counter\n";
  for (std::size_t status_class = 1; status_class < 6; ++status_class) {
    fmt::format_to(std::back_inserter(out),
                   "fealty_answers_total{{class=\"{}xx\"}} {}\n", status_class,
                   sum(source, [&](const Counters& counters) -> const auto& {
                     return counters.answers[status_class];
                   }));
  }
}

void add_unsealed(std::string& out, const StatsSource& source) {
  constexpr std::string_view kName = "fealty_unsealed_requests_total";
  add_head(out, kName, "counter",
           "Requests refused for want of the cluster's seal, by what was found "
           "(good: the address is not trusted).");
  for (std::size_t i = 0; i < RequestSeal::kFindings; ++i) {
    const auto finding = RequestSeal::to_string(static_cast<RequestSeal::Finding>(i));
    add_sample(out, kName, {{"seal", finding}},
               sum(source, [&](const Counters& counters) -> const auto& {
                 return counters.unsealed[i];
               }));
  }
}

void add_rejections(std::string& out, const subscription::Refusals& refused) {
  constexpr std::string_view kName = "fealty_subscription_rejected_total";
  add_head(out, kName, "counter", "Packets refused.");
  for (std::size_t i = 0; i < refused.total().size(); ++i) {
    add_sample(out, kName, {{"reason", to_string(static_cast<Rejection>(i))}},
               refused.total()[i]);
  }
  constexpr std::string_view kBySource =
      "fealty_subscription_rejected_by_source_total";
  add_head(out, kBySource, "counter",
           "Packets refused, of the sources with the most of them.");
  const auto add = [&](std::string_view source,
                       const subscription::Refusals::Counts& counts) {
    for (std::size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] == 0) continue;
      add_sample(out, kBySource,
                 {{"source", source},
                  {"reason", to_string(static_cast<Rejection>(i))}},
                 counts[i]);
    }
  };
  for (const auto& source : refused.sources()) add(source.name, source.counts);
  add("other", refused.others());
}

void add_node_states(std::string& out,
                     const subscription::NodeCensus& nodes) {
  constexpr std::string_view kName = "fealty_nodes_in_state";
  const auto census = nodes.counts();
  add_head(out, kName, "gauge",
           "Nodes that rest after a failure, are ill by a check, sleep, are "
           "drained, or are the configuration's.");
  for (const auto& [state, count] :
       {std::pair{"resting", census.resting}, std::pair{"ill", census.ill},
        std::pair{"sleeping", census.sleeping},
        std::pair{"drained", census.drained},
        std::pair{"static", census.permanent}}) {
    add_sample(out, kName, {{"state", state}}, count);
  }
}

void add_resubscriptions(std::string& out,
                         const subscription::Server& server) {
  const auto& resubscriber = server.resubscriber();
  if (!resubscriber.enabled()) return;
  constexpr std::string_view kSent = "fealty_resubscribe_sent_total";
  constexpr std::string_view kDropped = "fealty_resubscribe_dropped_total";
  const auto counts = resubscriber.counts();
  add_head(out, kSent, "counter", "Subscriptions passed on.");
  for (const auto& count : counts) {
    add_sample(out, kSent, {{"target", count.target}}, count.sent);
  }
  add_head(out, kDropped, "counter",
           "Subscriptions that a target's socket did not take.");
  for (const auto& count : counts) {
    add_sample(out, kDropped, {{"target", count.target}}, count.dropped);
  }
  add_metric(out, "fealty_resubscribe_held_back_total", "counter",
             "Subscriptions not passed on: the key was a moment ago, or they "
             "came through too many routers.",
             resubscriber.held_back());
  add_metric(out, "fealty_resubscribe_came_back_total", "counter",
             "Subscriptions that this router had passed on itself.",
             server.counters().came_back);
}

void add_checks(std::string& out, const HealthChecker& health) {
  constexpr std::string_view kName = "fealty_health_checks_total";
  add_head(out, kName, "counter", "Checks of HTTP nodes by result.");
  add_sample(out, kName, {{"result", "passed"}}, health.counters().passed);
  add_sample(out, kName, {{"result", "failed"}}, health.counters().failed);
}

std::uint64_t tls_sum(const StatsSource& source, const auto& pick) {
  std::uint64_t total = 0;
  for (const auto& worker : source.workers) {
    total += read(pick(worker->tls_counters()));
  }
  return total;
}

void add_expiry(std::string& out, const StatsSource& source) {
  constexpr std::string_view kName = "fealty_tls_identity_expires_seconds";
  add_head(out, kName, "gauge",
           "Seconds until a certificate expires, of those that do so soonest and of "
           "the listeners; 0 "
           "afterwards.");
  const std::int64_t now_s = source.clock.unix_s();
  for (const auto& entry : source.identities.expiry().soonest()) {
    add_sample(out, kName, {{"name", entry.name}},
               static_cast<std::uint64_t>(
                   std::max<std::int64_t>(0, entry.not_after_s - now_s)));
  }
  for (const auto& it : source.identities.defaults()) {
    const std::int64_t until_s = it.context->fallback().not_after_s();
    add_sample(out, kName, {{"name", it.name}},
               static_cast<std::uint64_t>(
                   std::max<std::int64_t>(0, until_s - now_s)));
  }
  add_metric(out, "fealty_tls_identities_expiring", "gauge",
             "Identities that expire within tls.expiry_alarm_days.",
             source.identities.expiry().alarms());
}

void add_tls(std::string& out, const StatsSource& source) {
  constexpr std::string_view kHandshakes = "fealty_tls_handshakes_total";
  constexpr std::string_view kFailures = "fealty_tls_handshake_failures_total";
  add_head(out, kHandshakes, "counter", "TLS handshakes that were done.");
  add_sample(out, kHandshakes, {{"kind", "full"}},
             tls_sum(source, [](const sni::Counters& c) -> const auto& {
               return c.full;
             }));
  add_sample(out, kHandshakes, {{"kind", "resumed"}},
             tls_sum(source, [](const sni::Counters& c) -> const auto& {
               return c.resumed;
             }));
  add_head(out, kFailures, "counter", "TLS handshakes that came to nothing.");
  for (std::size_t i = 0; i < sni::kFailures; ++i) {
    add_sample(out, kFailures,
               {{"reason", sni::name_of(static_cast<sni::Failure>(i))}},
               tls_sum(source, [&](const sni::Counters& c) -> const auto& {
                 return c.failures[i];
               }));
  }
  add_metric(out, "fealty_tls_identities", "gauge",
             "Names with a certificate of their own.",
             source.identities.store().size());
  add_expiry(out, source);
}

void add_subscriptions(std::string& out, const StatsSource& source) {
  const auto& server = source.subscriptions;
  add_metric(out, "fealty_subscription_packets_total", "counter",
             "Subscription packets received.", server.counters().packets);
  add_metric(out, "fealty_subscription_accepted_total", "counter",
             "Subscription packets that counted.",
             server.counters().accepted);
  add_unsealed(out, source);
  add_rejections(out, server.refusals());
  add_metric(out, "fealty_routes_version", "gauge",
             "The version of the routes, certificates included, that was "
             "published last.",
             source.snapshot.version());
  std::uint64_t adopted = source.snapshot.version();
  for (const auto& worker : source.workers) {
    adopted = std::min(adopted, worker->adopted_version());
  }
  add_metric(out, "fealty_routes_adopted_version", "gauge",
             "The version that every worker goes by.", adopted);
  add_metric(out, "fealty_pools", "gauge", "Keys with a node.",
             server.table().pool_count());
  add_metric(out, "fealty_nodes", "gauge", "Nodes announced.",
             server.table().node_count());
  add_node_states(out, server.census());
  add_metric(out, "fealty_certificate_reads_total", "counter",
             "How often certificates were read that announcements brought.",
             server.materials().reads());
  add_metric(out, "fealty_certificate_problems", "gauge",
             "Keys whose announced certificate was refused.",
             server.materials().problem_count());
  add_resubscriptions(out, server);
  if (source.health != nullptr) add_checks(out, *source.health);
}

}  // namespace

std::string stats_json(const StatsSource& source) {
  std::array<char, 4096> directory{};
  const char* const cwd = ::getcwd(directory.data(), directory.size());
  Json sockets = Json::array();
  for (const auto& listener : source.options.listeners) {
    sockets.push_back(listener.text);
  }
  for (const auto& server : source.subscriptions.options().servers) {
    sockets.push_back(server.address.to_string());
  }
  Json workers = Json::array();
  for (const auto& worker : source.workers) {
    workers.push_back(worker_json(*worker));
  }
  const auto& counters = source.subscriptions.counters();
  const Json stats = {
      {"version", kVersion},
      {"pid", ::getpid()},
      {"uid", ::getuid()},
      {"gid", ::getgid()},
      {"cwd", cwd != nullptr ? cwd : ""},
      {"active_sessions", sum(source, [](const Counters& c) -> const auto& {
         return c.active;
       })},
      {"http", std::move(sockets)},
      {"subscriptions", pools_json(source)},
      {"cheap", 0},
      {"workers", std::move(workers)},
      {"packets", {{"received", counters.packets},
                   {"accepted", counters.accepted},
                   {"rejected", rejections_json(source.subscriptions)}}},
  };
  return dumped(stats);
}

std::string metrics_text(const StatsSource& source) {
  std::string out;
  const auto total = [&](auto pick) { return sum(source, pick); };
  add_metric(out, "fealty_connections", "gauge", "Client connections.",
             total([](const Counters& c) -> const auto& { return c.active; }));
  add_metric(out, "fealty_connections_total", "counter",
             "Client connections accepted.",
             total([](const Counters& c) -> const auto& {
               return c.accepted;
             }));
  add_metric(out, "fealty_requests_total", "counter", "Requests begun.",
             total([](const Counters& c) -> const auto& {
               return c.requests;
             }));
  add_answers(out, source);
  add_metric(out, "fealty_own_errors_total", "counter",
             "Answers that the router made itself.",
             total([](const Counters& c) -> const auto& {
               return c.own_errors;
             }));
  add_metric(out, "fealty_retries_total", "counter",
             "Requests that went to another node.",
             total([](const Counters& c) -> const auto& {
               return c.retries;
             }));
  add_metric(out, "fealty_held_requests", "gauge",
             "Requests that wait for a node to come.",
             source.shared.held.load(std::memory_order_relaxed));
  add_metric(out, "fealty_held_requests_total", "counter",
             "Requests that waited for a node to come.",
             total([](const Counters& c) -> const auto& { return c.held; }));
  add_metric(out, "fealty_spawns_total", "counter",
             "Vassals that the Emperor was asked for.",
             source.spawner.counters().sent);
  add_metric(out, "fealty_spawns_dropped_total", "counter",
             "The same, where its socket did not take it.",
             source.spawner.counters().dropped);
  add_metric(out, "fealty_proxy_refused_total", "counter",
             "Connections refused for want of a PROXY header that can be "
             "trusted.",
             total([](const Counters& c) -> const auto& {
               return c.proxy_refused;
             }));
  add_metric(out, "fealty_tunnels", "gauge",
             "WebSockets and connections to raw nodes.",
             total([](const Counters& c) -> const auto& {
               return c.tunnels_open;
             }));
  add_metric(out, "fealty_tunnels_total", "counter", "The same, ever.",
             total([](const Counters& c) -> const auto& { return c.tunnels; }));
  add_metric(out, "fealty_node_connections_total", "counter",
             "Connections to nodes that were begun.",
             total([](const Counters& c) -> const auto& {
               return c.node_opened;
             }));
  add_metric(out, "fealty_node_connections_reused_total", "counter",
             "Requests that went over a kept connection.",
             total([](const Counters& c) -> const auto& {
               return c.node_reused;
             }));
  add_metric(out, "fealty_node_connections_stale_total", "counter",
             "Of them, those that were asked again, since it was dead.",
             total([](const Counters& c) -> const auto& {
               return c.node_stale;
             }));
  add_metric(out, "fealty_truncated_total", "counter",
             "Answers that a node cut short.",
             total([](const Counters& c) -> const auto& {
               return c.truncated;
             }));
  add_metric(out, "fealty_received_bytes_total", "counter",
             "Bytes from clients.",
             total([](const Counters& c) -> const auto& {
               return c.received_bytes;
             }));
  add_metric(out, "fealty_sent_bytes_total", "counter", "Bytes to clients.",
             total([](const Counters& c) -> const auto& {
               return c.sent_bytes;
             }));
  if (source.access_log != nullptr) {
    add_metric(out, "fealty_access_log_lines_total", "counter",
               "Lines that the access log's file took.",
               source.access_log->written());
    add_metric(out, "fealty_access_log_dropped_total", "counter",
               "Lines that it did not take in time.",
               source.access_log->dropped());
  }
  add_tls(out, source);
  add_subscriptions(out, source);
  return out;
}

}  // namespace fealty::router
