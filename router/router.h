#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "base/result.h"
#include "base/socket_file.h"
#include "router/admin.h"
#include "router/health.h"
#include "router/identities.h"
#include "router/options.h"
#include "router/spawner.h"
#include "router/worker.h"
#include "subscription/server.h"

namespace fealty::router {

// The whole program but its command line: the control thread (the one that
// calls run()) with subscriptions, admin and signals, and the workers.
//
//   bind() → drop_privileges() → run()
//
// SIGTERM and SIGINT drain: no new connections, /healthz says 503, what runs
// may finish within timeouts.drain; a second one ends at once.
class Router {
 public:
  Router(const Options& options, const subscription::Options& subscription);
  ~Router();
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  // Every socket and secret, or why not.
  [[nodiscard]] Status bind();
  // To options.user, where the process is root; its groups go too.
  [[nodiscard]] Status drop_privileges();
  // Until the end; the process's exit code.
  [[nodiscard]] int run();

 private:
  [[nodiscard]] Status load_sticky_secret();
  [[nodiscard]] Status bind_listener(const ListenerOptions& listener);
  [[nodiscard]] Status bind_admin();
  void note_bound(const Listener& listener, const Address& address);
  void note_https(const Listener& listener, const Address& address);
  static void yield_to_workers();
  [[nodiscard]] Admin::Answer on_admin(const Admin::Request& request);
  [[nodiscard]] Admin::Answer show(const Admin::Request& request) const;
  [[nodiscard]] Admin::Answer drain(std::string_view query, bool drained);
  void publish(std::shared_ptr<const subscription::Snapshot> snapshot);
  void take_certificates();
  void on_worker_progress();
  void on_expiry(const sni::ExpiryScan::Entry& entry);
  void on_sleepers();
  void on_end_signal(int signal);
  void on_other_signal(int signal);
  void begin_drain();
  void on_drain_deadline();

  const Options& options_;
  SystemClock clock_;
  Loop loop_;
  SharedState shared_;
  Spawner spawner_;
  std::vector<subscription::PoolRef> sleepers_;
  Identities identities_;
  subscription::Server subscriptions_;
  std::shared_ptr<const subscription::Snapshot> published_;
  std::optional<HealthChecker> health_;
  Admin admin_;
  AsyncWatcher progress_;
  TimerWatcher drain_timer_;
  std::vector<std::unique_ptr<SignalWatcher>> signals_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> threads_;
  std::vector<SocketFile> socket_files_;
  bool has_https_port_ = false;
  bool draining_ = false;
};

}  // namespace fealty::router
