#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "base/result.h"
#include "base/successor.h"
#include "router/access_log.h"
#include "router/admin.h"
#include "router/handover.h"
#include "router/health.h"
#include "router/identities.h"
#include "router/listeners.h"
#include "router/options.h"
#include "router/spawner.h"
#include "router/worker.h"
#include "subscription/server.h"

namespace fealty::router {

// All that a router is told from outside.
struct Configuration {
  Options router;
  subscription::Options subscription;
};

// The whole program but its command line: the control thread (the one that
// calls run()) with subscriptions, admin and signals, and the workers.
//
//   bind() → drop_privileges() → run()
//
// A configuration comes into use in two steps, the first one and each that a
// SIGHUP brings: prepare() binds and reads whatever it needs and changes
// nothing, so that one which does not work leaves all as it was; adopt() makes
// it the one in use and cannot fail. What is the same in both stays untouched:
// sockets with what waits in them, connections, announced nodes, ticket keys.
//
// SIGUSR2 starts the program anew, hands over to it, and ends with its last
// connection (router_upgrade.cc). SIGUSR1 reopens the access log. SIGTERM and SIGINT
// drain: no new connections, /healthz says 503, what runs may finish within timeouts.drain; a second one ends at once.
class Router {
 public:
  // What the configuration is now; nothing where it is broken, which is then
  // said in the log.
  using Load = std::function<std::optional<Configuration>()>;

  Router(Configuration configuration, Load load, Program program = {});
  ~Router();
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  // What the process before this one hands over, before bind().
  [[nodiscard]] Status inherit(Inheritance inheritance);
  // The files of Unix sockets are another process's.
  void leave_files();
  // Every socket and secret, or why not.
  [[nodiscard]] Status bind();
  // To options.user, where the process is root; its groups go too.
  [[nodiscard]] Status drop_privileges();
  // Until the end; the process's exit code.
  [[nodiscard]] int run();

 private:
  // --- a configuration comes into use (router_reload.cc)
  struct Plan {
    Configuration configuration;
    Listeners::Set listeners;
    Admin::Listeners admin;
    Identities::Loaded tls;
    subscription::Server::Plan subscription;
    StickyCookie sticky;
    std::string cluster_key;       // of RequestSeal; "": none
    UniqueFd access_log;           // where it goes; none: as before, or off
  };
  [[nodiscard]] Result<Plan> prepare(Configuration configuration);
  [[nodiscard]] Result<StickyCookie> sticky_for(const Options& options) const;
  [[nodiscard]] StickyCookie inherited_sticky() const;
  [[nodiscard]] Result<std::string> cluster_key_for(
      const Options& options) const;
  void adopt(Plan plan);
  void adopt_health_check(const std::optional<HealthCheck>& check);
  [[nodiscard]] Result<UniqueFd> open_access_log(const Options& options) const;
  [[nodiscard]] static std::optional<AccessLog::Owner> owner_to_be(
      const Options& options);
  void adopt_access_log(UniqueFd file);
  void reopen_access_log();
  [[nodiscard]] WorkerSetup setup_of(unsigned worker) const;
  void take_certificates();
  void reload();
  void keep_what_cannot_change(Options& options) const;
  void on_reloaded();

  // --- another process (router_upgrade.cc)
  void upgrade();
  [[nodiscard]] Status begin_upgrade();
  [[nodiscard]] Handover hand_over();
  void go_on();
  void retire();
  void take_socket(const Handover::Socket& socket);
  void take_over();
  void tell_predecessor();

  // --- the admin listener's pages (router_admin.cc)
  [[nodiscard]] Admin::Answer on_admin(const Admin::Request& request);
  [[nodiscard]] Admin::Answer show(const Admin::Request& request) const;
  [[nodiscard]] Admin::Answer drain(std::string_view query, bool drained);

  // --- life (router.cc)
  void watch_signals();
  void start_workers();
  static void yield_to_workers();
  void publish(std::shared_ptr<const subscription::Snapshot> snapshot);
  void hand_out(const TlsState& tls);
  void on_worker_progress();
  void on_expiry(const Identities::Due& due);
  void on_sleepers();
  void on_end_signal(int signal);
  void on_reload_signal(int signal);
  void on_reopen_signal(int signal);
  void on_upgrade_signal(int signal);
  void begin_drain();
  void on_drain_deadline();

  Options options_;                // in use; its parts refer to it
  const Load load_;
  SystemClock clock_;
  Loop loop_{Loop::Signals::kDescriptor};
  SharedState shared_;
  Spawner spawner_;
  std::vector<subscription::PoolRef> sleepers_;
  Listeners listeners_;
  Identities identities_;
  subscription::Server subscriptions_;
  std::shared_ptr<const subscription::Snapshot> published_;
  std::optional<HealthChecker> health_;
  Admin admin_;
  std::optional<AccessLog> access_log_;
  SettingsPtr settings_;           // the workers'
  std::string cluster_key_;        // of its seal; "": none
  std::uint64_t setup_version_ = 0;
  AsyncWatcher progress_;
  TimerWatcher drain_timer_;
  std::vector<std::unique_ptr<SignalWatcher>> signals_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> threads_;
  bool running_ = false;
  bool reloading_ = false;         // until all workers go by the new settings
  bool upgrade_wanted_ = false;    // as soon as they do
  bool draining_ = false;
  bool retired_ = false;           // a successor serves
  Successor successor_;
  std::unique_ptr<Handover> inherited_;  // until it is in use
  std::optional<Inheritance> predecessor_;   // to be told that this one serves
};

}  // namespace fealty::router
