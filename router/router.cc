#include "router/router.h"

#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/prctl.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "base/privilege.h"
#include "base/version.h"
#include "router/expiry_alarm.h"

namespace fealty::router {
namespace {

unsigned worker_count(const Options& options) {
  if (options.workers != 0) return options.workers;
  return std::max(1U, std::thread::hardware_concurrency());
}

// Null: there is none of this name or number.
const passwd* find_user(const std::string& user) {
  const bool number = user.find_first_not_of("0123456789") == std::string::npos;
  return number ? ::getpwuid(static_cast<uid_t>(std::stoul(user)))
                : ::getpwnam(user.c_str());
}

}  // namespace

Router::Router(Configuration configuration, Load load, Program program)
    : options_(std::move(configuration.router)),
      load_(std::move(load)),
      spawner_(clock_, options_.emperor),
      listeners_(worker_count(options_)),
      identities_(loop_, clock_),
      subscriptions_(loop_, clock_, std::move(configuration.subscription)),
      published_(std::make_shared<const subscription::Snapshot>()),
      admin_(loop_, [this](const Admin::Request& request) {
        return on_admin(request);
      }),
      successor_(loop_, std::move(program)) {
  shared_.sleepers.open<&Router::on_sleepers>(loop_, this);
  progress_.start<&Router::on_worker_progress>(loop_, this);
  drain_timer_.bind<&Router::on_drain_deadline>(loop_, this);
}

Router::~Router() {
  for (const auto& worker : workers_) worker->stop();
  for (auto& thread : threads_) thread.join();
}

Status Router::bind() {
  auto plan = prepare({options_, subscriptions_.options()});
  if (!plan) return plan.error();
  adopt(*std::move(plan));
  take_over();
  for (unsigned i = 0; i < worker_count(options_); ++i) {
    workers_.push_back(std::make_unique<Worker>(
        setup_of(i), shared_, [this] { progress_.send(); }));
  }
  return Ok{};
}

Status Router::drop_privileges() {
  if (::geteuid() != 0 || options_.user == "root") return Ok{};
  const passwd* const user = find_user(options_.user);
  if (user == nullptr) {
    return Error{"no user '" + options_.user +
                 "' to become; set `user` (root must be written out)"};
  }
  if (::initgroups(user->pw_name, user->pw_gid) != 0) {
    return Error{"cannot become " + options_.user + ": " +
                 std::strerror(errno)};
  }
  const Status became = become_user(user->pw_uid, user->pw_gid);
  if (!became) {
    return Error{"cannot become " + options_.user + ": " +
                 became.error().message};
  }
  return Ok{};
}

// Whose the files are to be that root makes; nothing where the process makes
// them as who it is.
std::optional<AccessLog::Owner> Router::owner_to_be(const Options& options) {
  if (::geteuid() != 0 || options.user == "root") return std::nullopt;
  const passwd* const user = find_user(options.user);
  if (user == nullptr) return std::nullopt;  // drop_privileges() says so
  return AccessLog::Owner{user->pw_uid, user->pw_gid};
}

// Requests come first: packets that arrive for the control thread do not
// interrupt a worker at work on the same core. It still gets its share.
void Router::yield_to_workers() {
  const sched_param priority{};
  if (::sched_setscheduler(0, SCHED_BATCH, &priority) != 0) {
    log::debug("the control thread keeps its scheduling class: {}",
               std::strerror(errno));
  }
}

int Router::run() {
  running_ = true;
  ::signal(SIGPIPE, SIG_IGN);
  watch_signals();
  identities_.start([this] { hand_out(identities_.last_state()); },
                    [this](const auto& due) { on_expiry(due); });
  hand_out(identities_.state());
  subscriptions_.start([this](auto snapshot) { publish(std::move(snapshot)); });
  if (access_log_) access_log_->start();
  start_workers();
  yield_to_workers();  // after they have begun: they would inherit it
  if (health_) health_->start();
  admin_.start();
  for (const auto& listener : options_.listeners) {
    log::info("listening on {}", listener.text);
  }
  log::info("fealty-router {} ready: {} workers, pid {}", kVersion,
            workers_.size(), ::getpid());
  ::sd_notify(0, "READY=1");
  loop_.run();
  log::info("ended");
  return 0;
}

void Router::watch_signals() {
  const auto watch = [this]<auto Method>(int signal) {
    signals_.push_back(std::make_unique<SignalWatcher>());
    signals_.back()->start<Method>(loop_, this, signal);
  };
  watch.operator()<&Router::on_end_signal>(SIGTERM);
  watch.operator()<&Router::on_end_signal>(SIGINT);
  watch.operator()<&Router::on_reload_signal>(SIGHUP);
  watch.operator()<&Router::on_reopen_signal>(SIGUSR1);
  watch.operator()<&Router::on_upgrade_signal>(SIGUSR2);
}

void Router::start_workers() {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    threads_.emplace_back([this, i] {
      const std::string name = "worker-" + std::to_string(i);
      ::prctl(PR_SET_NAME, name.c_str());
      renounce_reading();
      workers_[i]->run();
    });
  }
}

// Routes, and what is demanded and shown on the way to them, in one step.
void Router::publish(std::shared_ptr<const subscription::Snapshot> snapshot) {
  published_ = std::move(snapshot);
  hand_out(identities_.state());
}

void Router::hand_out(const TlsState& tls) {
  for (const auto& worker : workers_) worker->publish({published_, tls});
}

void Router::on_expiry(const Identities::Due& due) {
  if (options_.expiry_alarm_command.empty()) return;
  const Status started =
      run_expiry_alarm(options_.expiry_alarm_command, std::string(due.name),
                       due.until_s, clock_.unix_s());
  if (!started) log::error("{}", started.error().message);
}

void Router::on_worker_progress() {
  std::uint64_t adopted = UINT64_MAX;
  std::uint64_t setup = UINT64_MAX;
  bool drained = true;
  for (const auto& worker : workers_) {
    adopted = std::min(adopted, worker->adopted_version());
    setup = std::min(setup, worker->adopted_setup());
    drained = drained && worker->drained();
  }
  subscriptions_.on_adopted(adopted);
  if (reloading_ && setup >= setup_version_) on_reloaded();
  if (setup >= setup_version_ && adopted >= published_->version()) {
    tell_predecessor();
  }
  if ((draining_ || retired_) && drained) loop_.stop();
}

// Requests wait for vassals that sleep.
void Router::on_sleepers() {
  shared_.sleepers.take(sleepers_);
  for (const subscription::PoolRef& pool : sleepers_) spawner_.ask(*pool);
  sleepers_.clear();
}

void Router::on_end_signal(int signal) {
  if (draining_) {
    log::info("signal {} again: ending at once", signal);
    loop_.stop();
    return;
  }
  log::info("signal {}: draining for at most {} ms", signal,
            options_.timeouts.drain_ms);
  begin_drain();
}

void Router::begin_drain() {
  draining_ = true;
  successor_.give_up();
  ::sd_notify(0, "STOPPING=1");
  listeners_.adopt({});  // a socket closes when its worker lets go of it
  for (const auto& worker : workers_) worker->drain();
  drain_timer_.start(options_.timeouts.drain_ms);
}

void Router::on_drain_deadline() {
  log::warning("requests were still running after {} ms: cut off",
               options_.timeouts.drain_ms);
  loop_.stop();
}

void Router::on_reload_signal(int) { reload(); }

void Router::on_reopen_signal(int) { reopen_access_log(); }

void Router::on_upgrade_signal(int) { upgrade(); }

}  // namespace fealty::router
