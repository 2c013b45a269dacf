#include "router/stats.h"

#include <unistd.h>

#include <array>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/version.h"

namespace fealty::router {
namespace {

using Json = nlohmann::ordered_json;
using subscription::NodeRecord;
using subscription::NodeRuntime;
using subscription::Rejection;

// What a packet brought need not be UTF-8.
std::string dumped(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

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
                         {"sni_enabled", 0},
                         {"algo", subscription::to_string(pool.algorithm)},
                         {"nodes", std::move(nodes)}});
      });
  return pools;
}

Json rejections_json(const subscription::Server& server) {
  Json reasons = Json::object();
  const auto& rejected = server.counters().rejected;
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

// One metric with one value.
void add_metric(std::string& out, std::string_view name, std::string_view type,
                std::string_view help, std::uint64_t value) {
  fmt::format_to(std::back_inserter(out),
                 "# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n",
                 fmt::string_view(name.data(), name.size()),
                 fmt::string_view(help.data(), help.size()),
                 fmt::string_view(type.data(), type.size()), value);
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

void add_rejections(std::string& out, const subscription::Server& server) {
  out += "# HELP fealty_subscription_rejected_total Packets refused.\n"
         "# TYPE fealty_subscription_rejected_total counter\n";
  const auto& rejected = server.counters().rejected;
  for (std::size_t i = 0; i < rejected.size(); ++i) {
    const auto reason = to_string(static_cast<Rejection>(i));
    fmt::format_to(std::back_inserter(out),
                   "fealty_subscription_rejected_total{{reason=\"{}\"}} {}\n",
                   fmt::string_view(reason.data(), reason.size()),
                   rejected[i]);
  }
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
  const auto& subscriptions = source.subscriptions;
  add_metric(out, "fealty_subscription_packets_total", "counter",
             "Subscription packets received.",
             subscriptions.counters().packets);
  add_rejections(out, subscriptions);
  add_metric(out, "fealty_pools", "gauge", "Keys with a node.",
             subscriptions.table().pool_count());
  add_metric(out, "fealty_nodes", "gauge", "Nodes announced.",
             subscriptions.table().node_count());
  return out;
}

}  // namespace fealty::router
