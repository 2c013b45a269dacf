#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "api/announcer.h"
#include "api/current_options.h"
#include "api/database.h"
#include "api/domain_check.h"
#include "api/housekeeper.h"
#include "api/http_server.h"
#include "api/options.h"
#include "api/passwords.h"
#include "api/resolver.h"
#include "api/sealer.h"
#include "api/service.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/result.h"
#include "base/socket_file.h"
#include "base/successor.h"

namespace fealty::api {

// fealty-api but for its command line and its configuration's syntax.
//
//   inherit()? → bind() → drop_privileges() → open() → run()
//
// The key file is read, or made, as root; the database is opened as `user`.
// SIGTERM and SIGINT: requests under way are answered, for `drain` at most, then it
// ends; a second one ends at once. SIGHUP: what `load` gives counts from then on,
// but for what a start alone can change; nothing: the old one stays. SIGUSR2: a
// successor, most likely of a newer binary, takes over the sockets and the key; once
// it serves, this process ends as by SIGTERM (daemon_upgrade.cc).
class Daemon {
 public:
  using Load = std::function<std::optional<Options>()>;

  Daemon(Options options, Load load, Program program);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // What the process before this one hands over.
  [[nodiscard]] Status inherit(Inheritance inheritance);
  [[nodiscard]] Status bind();
  [[nodiscard]] Status drop_privileges();
  [[nodiscard]] Status open();
  // Until the end; the process's exit code.
  [[nodiscard]] int run();

 private:
  void on_end_signal(int signal);
  void on_reload_signal(int signal);
  void on_upgrade_signal(int signal);
  void on_other_signal(int signal);
  void on_ended();
  void on_drained();
  void end();
  void retire();
  void own_files();
  [[nodiscard]] bool announces_alike();
  [[nodiscard]] Status read_key();
  void warn_of_servers();
  void watch_signals();
  void announce(const SubscribeOptions& options);
  [[nodiscard]] HttpServer::Handlers handlers();

  const Options started_;           // with
  CurrentOptions options_;
  const Load load_;
  SystemClock clock_;
  bool made_key_ = false;           // by this process
  std::optional<Sealer> sealer_;
  CaresResolver resolver_;
  std::optional<Passwords> passwords_;
  std::optional<DomainCheck> domains_;
  std::unique_ptr<Database> database_;
  std::optional<Service> service_;
  std::optional<Housekeeper> housekeeper_;
  HttpServer public_;
  HttpServer admin_;
  Loop loop_{Loop::Signals::kDescriptor};
  std::optional<Announcer> announcer_;
  std::vector<std::unique_ptr<SignalWatcher>> signals_;
  AsyncWatcher ended_;
  TimerWatcher drain_;
  std::thread ender_;               // stops the listeners
  bool ending_ = false;             // told to, or a successor serves
  bool told_to_end_ = false;
  std::vector<SocketFile> outdated_;   // of inherited sockets that are not wanted
  Successor successor_;
  std::optional<Inheritance> predecessor_;   // to be told that this one serves
};

}  // namespace fealty::api
