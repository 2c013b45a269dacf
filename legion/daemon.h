#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/loop.h"
#include "base/result.h"
#include "legion/admin.h"
#include "legion/clock.h"
#include "legion/forwarder.h"
#include "legion/member.h"
#include "legion/options.h"

namespace fealty::legion {

// fealty-legion but for its command line and its configuration's syntax: any
// number of Legions, and the forwarder, on one loop.
//
//   bind() → drop_privileges() → run()
//
// SIGTERM and SIGINT: every Legion is told that we are dead, addresses go first;
// a second one, or the deadline, ends at once. SIGHUP: `reload` gives new
// options, or nothing where they are broken (it has said why), and then
// everything stays.
class Daemon {
 public:
  using Reload = std::function<std::optional<Options>()>;

  Daemon(Options options, Reload reload);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Secrets, sockets, ciphers; or why not.
  [[nodiscard]] Status bind();
  [[nodiscard]] Status drop_privileges();
  // Until the end; the process's exit code.
  [[nodiscard]] int run();

 private:
  void watch_signals();
  [[nodiscard]] std::unique_ptr<Member> make(const LegionOptions& options);
  [[nodiscard]] Admin::Answer on_admin(std::string_view path);
  void on_end_signal(int signal);
  void on_reload_signal(int signal);
  void on_other_signal(int signal);
  void apply(Options options);
  // The forwarder that is wanted, bound, beside the one that runs; null: none.
  [[nodiscard]] Result<std::unique_ptr<Forwarder>> make_forwarder(
      const std::optional<ForwarderOptions>& options);
  void take_forwarder();
  void on_forwarder_retry();
  void retire(std::size_t index);
  void on_left(const Member* member);
  void on_watchdog();
  void say_status();

  Options options_;
  Reload reload_;
  const std::string host_;
  BootClock clock_;
  Loop loop_{Loop::Signals::kDescriptor};
  Admin admin_;
  std::vector<std::unique_ptr<SignalWatcher>> signals_;
  TimerWatcher watchdog_;
  TimerWatcher reap_;
  TimerWatcher deadline_;
  TimerWatcher forwarder_retry_;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<std::unique_ptr<Member>> leaving_;    // taken out by a reload
  std::vector<const Member*> left_;                 // to be destroyed
  std::unique_ptr<Forwarder> forwarder_;   // null: none is wanted, or not yet
  bool ending_ = false;
  std::string status_;

  void on_reap();
  void on_deadline();
};

// Fills options.secret from secret_file, where that is given. `known`: what was
// read at the start, kept where the file may not be read any more.
[[nodiscard]] Status load_secret(LegionOptions& options,
                                 const std::vector<LegionOptions>& known);
[[nodiscard]] Status load_secret(ForwarderOptions& options,
                                 const ForwarderOptions* known);

}  // namespace fealty::legion
