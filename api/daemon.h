#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "api/announcer.h"
#include "api/database.h"
#include "api/domain_check.h"
#include "api/http_server.h"
#include "api/options.h"
#include "api/passwords.h"
#include "api/resolver.h"
#include "api/sealer.h"
#include "api/service.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/result.h"

namespace fealty::api {

// fealty-api but for its command line and its configuration's syntax.
//
//   bind() → drop_privileges() → open() → run()
//
// The key file is read, or made, as root; the database is opened as `user`.
// SIGTERM and SIGINT: requests under way are answered, then it ends; a second one
// ends at once. SIGHUP: `check` looks at the configuration and says what it
// thinks of it; it counts from the next start.
class Daemon {
 public:
  Daemon(Options options, std::function<void()> check);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  [[nodiscard]] Status bind();
  [[nodiscard]] Status drop_privileges();
  [[nodiscard]] Status open();
  // Until the end; the process's exit code.
  [[nodiscard]] int run();

 private:
  void on_end_signal(int signal);
  void on_reload_signal(int signal);
  void on_other_signal(int signal);
  void on_ended();
  void watch_signals();
  [[nodiscard]] Status check_key();

  const Options options_;
  const std::function<void()> check_;
  SystemClock clock_;
  std::optional<Sealer> sealer_;
  CaresResolver resolver_;
  std::optional<Passwords> passwords_;
  std::optional<DomainCheck> domains_;
  std::unique_ptr<Database> database_;
  std::optional<Service> service_;
  HttpServer public_;
  HttpServer admin_;
  Loop loop_{Loop::Signals::kDescriptor};
  std::optional<Announcer> announcer_;
  std::vector<std::unique_ptr<SignalWatcher>> signals_;
  AsyncWatcher ended_;
  std::thread ender_;               // stops the listeners
  bool ending_ = false;
};

}  // namespace fealty::api
