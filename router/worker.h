#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/fd.h"
#include "base/loop.h"
#include "base/mailbox.h"
#include "router/acceptor.h"
#include "router/session.h"
#include "router/worker_context.h"
#include "subscription/snapshot.h"

namespace fealty::router {

// What a worker runs with; a reload makes another.
struct WorkerSetup {
  SettingsPtr settings;
  std::vector<WorkerListener> listeners;
  std::uint64_t version = 1;             // rises with each
  unsigned worker = 0;                   // its number
};

// One thread of the data plane: a loop, its listeners, its sessions. The
// control thread makes it and calls run() on a thread of its own; set_up(),
// publish(), drain() and stop() may then be called from the control thread,
// counters() and adopted_version() read from it.
class Worker final : public SessionOwner {
 public:
  // `on_progress` is called on the worker's thread when a setup or a snapshot was
  // adopted or the drain has ended; it must only wake somebody.
  Worker(WorkerSetup setup, SharedState& shared,
         std::function<void()> on_progress);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void run();

  // Another setup, the whole of it: listeners that it has no more are let go,
  // after what is in their queues; the others stay as they are. Connections of
  // listeners that go or have other terms end after the request they are at.
  void set_up(WorkerSetup setup) { setups_.post(std::move(setup)); }

  // Adopted as a whole: a route, what it demands of clients and the identity by
  // which they are judged are never from different times.
  void publish(Published published) { published_.post(std::move(published)); }
  // No new connections; those that wait for a request are closed, the others
  // after the one that they are at. drained() follows.
  void drain() {
    drain_asked_.store(true, std::memory_order_relaxed);
    wake_.send();
  }
  // The same, but for what is queued, which a successor takes, and for those that
  // wait for a request: they end as they would, or after the next answer.
  void retire() {
    retire_asked_.store(true, std::memory_order_relaxed);
    wake_.send();
  }
  // Ends run() at once.
  void stop() {
    stop_asked_.store(true, std::memory_order_relaxed);
    wake_.send();
  }

  [[nodiscard]] const Counters& counters() const { return context_.counters; }
  [[nodiscard]] const sni::Counters& tls_counters() const {
    return context_.tls_counters;
  }
  [[nodiscard]] std::uint64_t adopted_version() const {
    return adopted_version_.load(std::memory_order_acquire);
  }
  [[nodiscard]] std::uint64_t adopted_setup() const {
    return adopted_setup_.load(std::memory_order_acquire);
  }
  [[nodiscard]] bool drained() const {
    return drained_.load(std::memory_order_acquire);
  }

 private:
  // Deadlines are looked at this often, as long as there are sessions or
  // connections that idle.
  static constexpr std::int64_t kTickMs = 100;

  void on_connection(UniqueFd fd, const Address& peer,
                     const ListenerPtr& listener);
  void on_setup();
  void listen(const std::vector<WorkerListener>& listeners);
  void end_outdated(const std::vector<WorkerListener>& listeners);
  void on_session_closed(Session& session) override;
  void on_published();
  void on_wake();
  void on_tick();
  [[nodiscard]] bool came_late(std::int64_t now_ms);
  void on_retry();
  void on_hold_retry();
  void retry(DeadlineQueue& queue, std::int64_t until_ms);
  void begin_drain();
  void begin_retirement();
  void check_drained();

  WorkerContext context_;
  std::function<void()> on_progress_;
  Mailbox<WorkerSetup> setups_;
  Mailbox<Published> published_;
  AsyncWatcher wake_;
  TimerWatcher tick_;
  std::int64_t last_tick_ms_ = 0;
  bool late_ = false;                    // the last tick was
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  // All that were made, in use or not; each knows its place by address.
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<Session*> free_sessions_;
  std::atomic<std::uint64_t> adopted_version_{0};
  std::atomic<std::uint64_t> adopted_setup_{0};
  std::atomic<bool> drain_asked_{false};
  std::atomic<bool> retire_asked_{false};
  std::atomic<bool> stop_asked_{false};
  std::atomic<bool> drained_{false};
};

}  // namespace fealty::router
