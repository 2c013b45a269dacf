#include "cli/supervisor.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "cli/arguments.h"
#include "cli/socket_path.h"

namespace fealty::cli {
namespace {

bool is_ignored(int number) {
  struct sigaction action{};
  return ::sigaction(number, nullptr, &action) == 0 &&
         action.sa_handler == SIG_IGN;
}

}  // namespace

Supervisor::Supervisor(const Plan& plan)
    : plan_(plan),
      announcer_(loop_, clock_, plan, [this] { on_settled(); }) {
  check_timer_.bind<&Supervisor::look>(loop_, this);
  drain_timer_.bind<&Supervisor::on_drained>(loop_, this);
  leave_timer_.bind<&Supervisor::on_leave_step>(loop_, this);
  start_timer_.bind<&Supervisor::on_start_beat>(loop_, this);
  watchdog_timer_.bind<&Supervisor::on_watchdog>(loop_, this);
  once_timer_.bind<&Supervisor::on_once_step>(loop_, this);
}

int Supervisor::run() {
  if (Status ready = announcer_.prepare(); !ready) {
    log::error("subscribe: {}", ready.error().message);
    return kExitRun;
  }
  for (const std::string& warning : plan_.warnings) {
    log::warning("subscribe: {}", warning);
  }
  if (plan_.once) return run_once();
  watch_signals();
  if (const int code = start_command(); code != 0) return code;
  begin();
  loop_.run();
  return exit_code_;
}

// Whose address it is before COMMAND has it.
void Supervisor::prepare_address() {
  if (answers_now(plan_.reached_at)) {
    log::warning("subscribe: somebody answers at {} before COMMAND was started; "
                 "if they do not share it, COMMAND will fail",
                 plan_.reached_at.to_string());
  } else if (remove_dead_socket(plan_.reached_at)) {
    log::info("subscribe: removed {}, which nobody listens on any more",
              plan_.reached_at.to_string());
  }
}

int Supervisor::start_command() {
  if (plan_.command.empty()) return 0;
  prepare_address();
  auto started = Command::start(plan_.command, {plan_.keep_notify_socket});
  if (!started) {
    log::error("subscribe: {}", started.error().message);
    return started.error().exit_code;
  }
  command_ = std::move(*started);
  log::info("subscribe: started {} as pid {}",
            log::printable(plan_.command.front()), command_->pid());
  return 0;
}

// Before COMMAND is there, so that none of its deaths is missed. What was
// ignored when we were started (nohup) stays so.
void Supervisor::watch_signals() {
  const auto watch = [this](int number, auto method) {
    if (is_ignored(number)) return;
    signals_.push_back(std::make_unique<SignalWatcher>());
    method(*signals_.back(), number);
  };
  for (const int number : {SIGTERM, SIGINT, SIGQUIT}) {
    watch(number, [this](SignalWatcher& watcher, int its) {
      watcher.start<&Supervisor::on_end_signal>(loop_, this, its);
    });
  }
  for (const int number :
       {SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGWINCH, SIGCONT}) {
    watch(number, [this](SignalWatcher& watcher, int its) {
      watcher.start<&Supervisor::on_passed_signal>(loop_, this, its);
    });
  }
  ::signal(SIGCHLD, SIG_DFL);  // ignored, it would take the exit codes with it
  watch(SIGCHLD, [this](SignalWatcher& watcher, int its) {
    watcher.start<&Supervisor::on_child>(loop_, this, its);
  });
}

void Supervisor::begin() {
  waiting_since_ms_ = clock_.monotonic_ms();
  if (manager_.watchdog_ms() != 0) {
    watchdog_timer_.start(manager_.watchdog_ms(), manager_.watchdog_ms());
  }
  start_timer_.start(kStartBeat_ms, kStartBeat_ms);
  if (!plan_.check) return set_announced("");
  check_.emplace(loop_, *plan_.check,
                 [this](Check::Finding finding, const std::string& why) {
                   on_checked(finding, why);
                 });
  manager_.status("waits for " + plan_.check->text);
  look();
}

void Supervisor::look() { check_->start(); }

void Supervisor::on_checked(Check::Finding finding, const std::string& why) {
  if (state_ != State::kWaiting && state_ != State::kAnnounced) return;
  if (finding != Check::Finding::kAnswers) return on_bad(finding, why);
  bad_checks_ = 0;
  if (state_ == State::kWaiting) set_announced(plan_.check->text + " answers");
  if (plan_.check_goes_on) {
    check_timer_.start(std::min(kCheck_ms, plan_.every_ms));
  }
}

void Supervisor::on_bad(Check::Finding finding, const std::string& why) {
  ++bad_checks_;
  const bool gone =
      finding == Check::Finding::kNobody || bad_checks_ >= kBadChecks;
  if (state_ == State::kAnnounced && gone) set_waiting(why);
  const std::int64_t now_ms = clock_.monotonic_ms();
  if (state_ == State::kWaiting && !waiting_said_ &&
      now_ms - waiting_since_ms_ >= kWorthSaying_ms) {
    waiting_said_ = true;
    log::warning("subscribe: not announced yet, since {} does not answer: {}; "
                 "looking on{}",
                 plan_.check->text, why,
                 plan_.command.empty() || !plan_.check->request.empty()
                     ? ""
                     : " (is --addr where COMMAND listens? --check-address "
                       "names another way there)");
  }
  check_pause_ms_ = std::min(2 * check_pause_ms_, kWaitingCheckMax_ms);
  check_timer_.start(std::min(check_pause_ms_, plan_.every_ms));
}

void Supervisor::open_to_routers() {
  const Status set = set_mode(plan_.reached_at, plan_.socket_mode);
  std::string problem =
      set ? mode_problem(plan_.reached_at) : set.error().message;
  if (set && plan_.socket_mode) problem.clear();   // as it was wished
  if (problem.empty() || problem == mode_problem_) return;
  mode_problem_ = std::move(problem);
  log::warning("subscribe: {}", mode_problem_);
}

void Supervisor::set_announced(const std::string& why) {
  state_ = State::kAnnounced;
  open_to_routers();
  for (const std::string& key : plan_.keys) {
    log::info("subscribe: announcing {} at {}{}{}", key, plan_.packet.address,
              why.empty() ? "" : ": ", why);
  }
  announcer_.announce();
}

void Supervisor::set_waiting(const std::string& why) {
  state_ = State::kWaiting;
  log::warning("subscribe: unsubscribed, since {} does not answer: {}",
               plan_.check->text, why);
  announcer_.withdraw();
  manager_.status("unsubscribed: " + plan_.check->text + ": " + why);
  waiting_since_ms_ = clock_.monotonic_ms();
  waiting_said_ = true;
  check_pause_ms_ = kFirstCheck_ms;
}

void Supervisor::on_end_signal(int number) {
  const bool again = end_signal_ != 0;
  end_signal_ = number;
  if (state_ == State::kLeaving) {
    leave_until_ms_ = 0;
    return;
  }
  manager_.stopping();
  if (!command_) return leave();
  if (state_ == State::kAnnounced) {
    state_ = State::kDraining;
    announcer_.withdraw();
    log::info("subscribe: {}: unsubscribed; COMMAND gets it in {} ms",
              ::strsignal(number), plan_.drain_ms);
    drain_timer_.start(plan_.drain_ms);
  } else if (again || state_ == State::kWaiting) {
    on_drained();
  }
}

void Supervisor::on_drained() {
  drain_timer_.stop();
  state_ = State::kEnding;
  command_->signal(end_signal_);
}

// Without COMMAND a SIGHUP means what it means to daemons: look at everything
// again.
void Supervisor::on_passed_signal(int number) {
  if (command_) return command_->signal(number);
  if (number == SIGHUP && state_ == State::kAnnounced) announcer_.announce();
}

void Supervisor::on_child(int) {
  if (!command_) return;
  command_->reap();
  if (!command_->ended() || state_ == State::kLeaving) return;
  exit_code_ = command_->exit_code();
  if (end_signal_ == 0) {
    log::info("subscribe: COMMAND has ended with {}", exit_code_);
  }
  leave();
}

void Supervisor::leave() {
  state_ = State::kLeaving;
  announcer_.withdraw();
  manager_.stopping();
  if (check_) check_->stop();
  for (TimerWatcher* const timer :
       {&check_timer_, &drain_timer_, &start_timer_}) {
    timer->stop();
  }
  leave_until_ms_ = clock_.monotonic_ms() + kLeave_ms;
  on_leave_step();
}

void Supervisor::on_leave_step() {
  const bool over = clock_.monotonic_ms() >= leave_until_ms_;
  bool alone = true;
  if (command_) {
    command_->reap();
    alone = !command_->sweep(0);
    if (!alone && !swept_) static_cast<void>(command_->sweep(SIGTERM));
    if (!alone && over) static_cast<void>(command_->sweep(SIGKILL));
    swept_ = true;
  }
  if ((announcer_.quiet() && alone) || over) return loop_.stop();
  leave_timer_.start(kLeaveStep_ms);
}

void Supervisor::on_settled() {
  if (state_ == State::kAnnounced) manager_.ready(summary());
}

// Not ready because no router is there: that is no fault of the service, and
// systemd must not end it. The application's own start is not excused.
void Supervisor::on_start_beat() {
  if (manager_.is_ready()) return start_timer_.stop();
  if (state_ != State::kAnnounced) return;
  manager_.extend_start(2 * kStartBeat_ms);
  manager_.status("waits for a router: none takes announcements");
}

// Where the application is asked how it is, its answers are what systemd's
// watchdog gets to see.
void Supervisor::on_watchdog() {
  const bool asked = plan_.check && !plan_.check->request.empty();
  if (asked && manager_.is_ready() && state_ == State::kWaiting) return;
  manager_.ping();
}

std::string Supervisor::summary() const {
  std::string text = "announced at " + plan_.packet.address + ":";
  for (const std::string& key : plan_.keys) text += " " + key;
  return text;
}

int Supervisor::run_once() {
  exit_code_ = kExitRun;
  if (plan_.check) {
    check_.emplace(loop_, *plan_.check,
                   [this](Check::Finding finding, const std::string& why) {
                     on_once_checked(finding, why);
                   });
    check_->start();
  } else {
    on_once_checked(Check::Finding::kAnswers, "");
  }
  loop_.run();
  return exit_code_;
}

void Supervisor::on_once_checked(Check::Finding finding,
                                 const std::string& why) {
  if (finding != Check::Finding::kAnswers) {
    log::error("subscribe: not announced, since {} does not answer: {} "
               "(--no-check announces unseen)",
               plan_.check->text, why);
    return loop_.stop();
  }
  announcer_.send_once(plan_.unsubscribe
                           ? wire::SubscriptionCommand::kUnsubscribe
                           : wire::SubscriptionCommand::kSubscribe);
  once_timer_.start(0);
}

void Supervisor::on_once_step() {
  if (!announcer_.quiet()) return once_timer_.start(kLeaveStep_ms);
  const bool all = announcer_.servers_taking() == plan_.servers.size();
  exit_code_ = all ? kExitFine : kExitRun;
  loop_.stop();
}

}  // namespace fealty::cli
