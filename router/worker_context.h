#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/buffer_pool.h"
#include "base/clock.h"
#include "base/deadline.h"
#include "base/inbox.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/poller.h"
#include "http/request_head.h"
#include "router/access_line.h"
#include "router/access_log.h"
#include "router/node_pool.h"
#include "router/options.h"
#include "router/request_seal.h"
#include "router/sticky.h"
#include "router/uwsgi_request.h"
#include "sni/context.h"
#include "sni/failure.h"
#include "subscription/snapshot.h"

namespace fealty::router {

class Session;

// What a worker counts; written by its thread alone, read by the control
// thread for stats. Relaxed atomics, so that a read is never torn.
struct Counters {
  using Count = std::atomic<std::uint64_t>;
  Count accepted{0};
  Count active{0};                 // connections now
  Count requests{0};
  Count answers[6] = {};           // by status class; 0: none was sent
  Count own_errors{0};             // answers that the router made itself
  Count retries{0};                // requests that went to another node
  Count truncated{0};              // answers that a node cut short
  Count node_opened{0};            // connections to nodes that were begun
  Count node_reused{0};            // requests that went over a kept one
  Count node_stale{0};             // and were asked again, since it was dead
  Count held{0};                   // requests that waited for a node to come
  Count proxy_refused{0};          // connections without a PROXY header to trust
  Count tunnels{0};                // WebSockets and raw nodes' requests, ever
  Count tunnels_open{0};           // and now
  Count received_bytes{0};         // from clients
  Count sent_bytes{0};             // to clients

  // One writer: no read-modify-write on the bus.
  static void add(Count& count, std::uint64_t n = 1) {
    count.store(count.load(std::memory_order_relaxed) + n,
                std::memory_order_relaxed);
  }
  static void subtract(Count& count, std::uint64_t n = 1) {
    count.store(count.load(std::memory_order_relaxed) - n,
                std::memory_order_relaxed);
  }
};

// What the workers go by besides routes and identities. Immutable: a reload
// makes another, which each worker adopts between two turns of its loop.
struct Settings {
  Options options;
  std::string https_port = "443";  // where redirects lead to
  // A listener for HTTPS demands certificates where a domain has no identity of
  // its own: over plain HTTP such a domain is as one that demands them.
  bool https_default_demands = false;
  StickyCookie sticky{kStickyCookie, StickyCookie::random_secret()};
  std::optional<RequestSeal> seal{};   // none: no cluster
  AccessLog* access_log = nullptr;     // outlives all workers; null: off
};
using SettingsPtr = std::shared_ptr<const Settings>;

// What the control thread hands the workers for their handshakes.
struct TlsState {
  sni::SnapshotPtr identities;
  sni::TicketKeysPtr tickets;
};

// What workers adopt between two turns of their loops.
struct Published {
  std::shared_ptr<const subscription::Snapshot> routes;
  TlsState tls;                    // without identities: as it was
};

// What all workers share.
struct SharedState {
  std::atomic<std::size_t> connections{0};
  std::atomic<std::size_t> held{0};  // requests that wait for a node to come
  // Pools whose vassal is to be woken: for the control thread. A request that
  // finds it full asks again while it waits.
  Inbox<subscription::PoolRef, 256> sleepers;
};

// Everything of a worker's that its sessions use: the loop, memory that is
// reused from one event to the next, the deadlines, the routes. One thread.
struct WorkerContext {
  WorkerContext(SettingsPtr its_settings, SharedState& shared_state,
                std::uint64_t first_request_id, unsigned its_number = 0)
      : settings(std::move(its_settings)), shared(shared_state),
        number(its_number), next_request_id(first_request_id) {
    adopt(settings);
  }
  // Between two turns of the loop. What waits already waits for as long as is
  // set now.
  void adopt(SettingsPtr others) {
    settings = std::move(others);
    const Timeouts& timeouts = options().timeouts;
    handshake_deadline.set_duration(timeouts.handshake_ms);
    head_deadline.set_duration(timeouts.head_ms);
    keepalive_deadline.set_duration(timeouts.keepalive_ms);
    client_deadline.set_duration(timeouts.client_ms);
    connect_deadline.set_duration(timeouts.connect_ms);
    node_deadline.set_duration(timeouts.node_ms);
    node_pool.set_limits({timeouts.node_idle_ms, timeouts.node_age_ms,
                          options().limits.node_idle_connections});
  }
  [[nodiscard]] const Options& options() const { return settings->options; }

  // How long a closed connection is still read, so that what the client sends
  // does not reset the answer away (RFC 9112 section 9.6).
  static constexpr std::int64_t kLingerMs = 2'000;
  // Longer for one that still sends, but not for ever.
  static constexpr std::int64_t kLingerMostMs = 30'000;
  // A Unix socket whose backlog is full is asked again after this.
  static constexpr std::int64_t kRetryMs = 2;
  // A request that is held tries its nodes again after this, and whenever the
  // routes have changed.
  static constexpr std::int64_t kHoldRetryMs = 20;
  // One read of either side.
  static constexpr std::size_t kReadBytes = 64 * 1024;

  SettingsPtr settings;            // never null
  SharedState& shared;
  const unsigned number;           // of the worker, from 0
  Loop loop;
  Poller nodes{loop};              // the connections to nodes, and listeners
  NodePool node_pool{nodes, {}};
  BufferPool buffers;
  std::shared_ptr<const subscription::Snapshot> snapshot =
      std::make_shared<const subscription::Snapshot>();

  DeadlineQueue handshake_deadline{0};  // these are set by adopt()
  DeadlineQueue head_deadline{0};
  DeadlineQueue keepalive_deadline{0};
  DeadlineQueue client_deadline{0};
  DeadlineQueue connect_deadline{0};
  DeadlineQueue node_deadline{0};
  DeadlineQueue linger_deadline{kLingerMs};
  DeadlineQueue retry_deadline{kRetryMs};    // waits for room in a backlog
  DeadlineQueue hold_deadline{kHoldRetryMs};  // waits for a node to come

  // Used within one callback only.
  std::unique_ptr<char[]> read_scratch{new char[kReadBytes]};
  std::unique_ptr<char[]> head_scratch{new char[BufferPool::kLarge]};
  http::RequestHead request;
  UwsgiRequest uwsgi_request;      // the same, of a fastrouter's client
  std::unique_ptr<char[]> names_scratch{new char[kHeaderNamesBytesMax]};

  // Fires while retry_deadline holds anyone.
  TimerWatcher retry_timer;
  void wait_for_backlog(Deadline& deadline) {
    retry_deadline.arm(deadline, coarse_monotonic_ms());
    if (!retry_timer.active()) retry_timer.start(kRetryMs, kRetryMs);
  }
  // The same of hold_deadline.
  TimerWatcher hold_timer;
  void wait_for_node(Deadline& deadline) {
    hold_deadline.arm(deadline, coarse_monotonic_ms());
    if (!hold_timer.active()) hold_timer.start(kHoldRetryMs, kHoldRetryMs);
  }

  // What handshakes and the rules of client certificates go by.
  SystemClock clock;
  sni::View tls{std::make_shared<const sni::Snapshot>(), nullptr, &clock};
  sni::Counters tls_counters;

  Counters counters;
  AccessClock access_clock;
  log::Limiter failure_log{1'000};
  log::Limiter client_log{1'000};  // certificates of clients' that do not count
  log::Limiter proxy_log{10'000};
  // Nodes that begin to rest or are back; lines a second.
  log::LineBudget rest_log{10};
  std::uint64_t next_request_id;
  bool draining = false;

  [[nodiscard]] std::span<char> reading() const {
    return {read_scratch.get(), kReadBytes};
  }
  [[nodiscard]] std::span<char> heading() const {
    return {head_scratch.get(), BufferPool::kLarge};
  }
};

}  // namespace fealty::router
