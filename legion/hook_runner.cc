#include "legion/hook_runner.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

#include "base/check.h"
#include "base/log.h"
#include "base/pidfd.h"
#include "legion/clock.h"

namespace fealty::legion {
namespace {

// What a command does not inherit: they mean this process.
constexpr std::array<std::string_view, 4> kWithheld = {
    "NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID=", "LISTEN_"};

std::vector<char*> environment_of(std::vector<std::string>& own) {
  std::vector<char*> out;
  for (std::string& each : own) out.push_back(each.data());
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string_view text(*each);
    const auto withheld = [&](std::string_view name) {
      return text.starts_with(name);
    };
    if (std::any_of(kWithheld.begin(), kWithheld.end(), withheld)) continue;
    const std::string_view name = text.substr(0, text.find('=') + 1);
    const auto replaced = [&](const std::string& mine) {
      return mine.starts_with(name);
    };
    if (!std::any_of(own.begin(), own.end(), replaced)) out.push_back(*each);
  }
  out.push_back(nullptr);
  return out;
}

// A session of its own, no input, output to the log, signals as at a start.
int spawn_shell(const std::string& command, std::vector<std::string> own,
                pid_t& pid) {
  std::vector<char*> environment = environment_of(own);
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t files;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&files, 2, 1);
  sigset_t all;
  sigset_t none;
  sigfillset(&all);
  sigemptyset(&none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSID);
  char shell[] = "/bin/sh";
  char dash_c[] = "-c";
  std::string text = command;
  char* const arguments[] = {shell, dash_c, text.data(), nullptr};
  const int code = ::posix_spawn(&pid, shell, &files, &attributes, arguments,
                                 environment.data());
  ::posix_spawn_file_actions_destroy(&files);
  ::posix_spawnattr_destroy(&attributes);
  return code;
}

// What is said of others, which nobody waits for.
bool is_news(Event event) {
  return event == Event::kNodeJoined || event == Event::kNodeLeft;
}

std::string end_of(int status) {
  return WIFSIGNALED(status)
             ? "was ended by signal " + std::to_string(WTERMSIG(status))
             : "ended with " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

HookRunner::HookRunner(std::string legion, AddressKeeper& addresses,
                       std::function<void(const HookResult&)> done)
    : legion_(std::move(legion)), addresses_(addresses),
      done_(std::move(done)),
      cancel_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  FEALTY_CHECK(cancel_fd_.valid());
  thread_ = std::thread([this] { run(); });
}

HookRunner::~HookRunner() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    waiting_.clear();
    cancel();
  }
  wake_.notify_one();
  thread_.join();
}

void HookRunner::cancel() {
  cancelled_ = true;
  const std::uint64_t one = 1;
  FEALTY_CHECK(::write(cancel_fd_.get(), &one, sizeof one) == sizeof one);
}

bool HookRunner::cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

std::uint64_t HookRunner::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

bool HookRunner::idle() const {
  const std::lock_guard lock(mutex_);
  return waiting_.empty() && !running_;
}

void HookRunner::post(HookJob job) {
  {
    const std::lock_guard lock(mutex_);
    if (job.event == Event::kUnlord) {
      std::erase_if(waiting_, [](const HookJob& each) {
        return each.event == Event::kLord;
      });
      if (running_ && *running_ != Event::kUnlord) cancel();
      waiting_.push_front(std::move(job));
    } else if (job.event == Event::kDeath) {
      std::erase_if(waiting_,
                    [](const HookJob& each) { return is_news(each.event); });
      if (running_ && is_news(*running_)) cancel();
      waiting_.push_back(std::move(job));
    } else if (waiting_.size() >= kWaitingMax && is_news(job.event)) {
      ++dropped_;
      return;
    } else {
      waiting_.push_back(std::move(job));
    }
  }
  wake_.notify_one();
}

void HookRunner::run() {
  for (;;) {
    HookJob job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return ended_ || !waiting_.empty(); });
      if (ended_) return;
      job = std::move(waiting_.front());
      waiting_.pop_front();
      running_ = job.event;
      cancelled_ = false;
      // Whatever was cancelled is over.
      std::uint64_t count = 0;
      while (::read(cancel_fd_.get(), &count, sizeof count) > 0) {
      }
    }
    const HookResult result = perform(job);
    {
      const std::lock_guard lock(mutex_);
      running_.reset();
    }
    done_(result);
  }
}

HookResult HookRunner::perform(const HookJob& job) {
  HookResult result{job.event, true, false};
  if (job.addresses_first) addresses_.remove_all();
  for (const HookAction& action : job.actions) {
    if (cancelled()) break;
    const Status done = perform_action(action, job);
    if (done) continue;
    result.ok = false;
    log::error("legion {}: hook {}: {}", legion_, to_string(job.event),
               done.error().message);
  }
  if (job.event == Event::kUnlord) addresses_.remove_all();
  result.cancelled = cancelled();
  return result;
}

Status HookRunner::perform_action(const HookAction& action,
                                  const HookJob& job) {
  using Kind = HookAction::Kind;
  switch (action.kind) {
    case Kind::kExec: return execute(action.text, job);
    case Kind::kIpAdd: return addresses_.hold(action.address);
    case Kind::kIpDel: return addresses_.remove(action.address);
    case Kind::kIpStale: return addresses_.remove_stale(action.address);
    case Kind::kLog:
      log::info("legion {}: {}", legion_, action.text);
      return Ok{};
    case Kind::kAlarm:
      log::error("legion {}: ALARM: {}", legion_, action.text);
      if (job.alarm_command.empty()) return Ok{};
      HookJob alarm = job;
      alarm.environment.push_back("ALARM=" + action.text);
      return execute(job.alarm_command, alarm);
  }
  return Ok{};
}

Status HookRunner::execute(const std::string& command, const HookJob& job) {
  const BootClock clock;
  pid_t pid = 0;
  if (const int code = spawn_shell(command, job.environment, pid); code != 0) {
    return Error{"cannot start '" + command + "': " + std::strerror(code)};
  }
  const UniqueFd process = open_pidfd(pid);
  const std::int64_t end_ms = clock.monotonic_ms() + job.timeout_ms;
  std::string_view why = process.valid() ? "" : "could not be watched";
  pollfd polled[2] = {{process.get(), POLLIN, 0}, {cancel_fd_.get(), POLLIN, 0}};
  while (why.empty()) {
    const std::int64_t left_ms = end_ms - clock.monotonic_ms();
    const int ready =
        left_ms <= 0 ? 0 : ::poll(polled, 2, static_cast<int>(left_ms));
    if (ready < 0 && errno == EINTR) continue;
    if (ready > 0 && polled[0].revents != 0) break;
    why = ready > 0    ? "had to make room"
          : ready == 0 ? "took too long"
                       : "could not be watched";
  }
  if (!why.empty()) {
    ::kill(-pid, SIGTERM);
    static_cast<void>(::poll(polled, 1, kGrace_ms));
    // The shell may have ended and left children. Until it is reaped, the group's
    // number is nobody else's.
    ::kill(-pid, SIGKILL);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!why.empty()) {
    return Error{"'" + command + "' " + std::string(why) + " and " +
                 end_of(status)};
  }
  if (status != 0) return Error{"'" + command + "' " + end_of(status)};
  return Ok{};
}

std::string_view to_string(Event event) {
  switch (event) {
    case Event::kSetup: return "setup";
    case Event::kJoin: return "join";
    case Event::kLord: return "lord";
    case Event::kUnlord: return "unlord";
    case Event::kNodeJoined: return "node_joined";
    case Event::kNodeLeft: return "node_left";
    case Event::kDeath: return "death";
  }
  return "unknown";
}

}  // namespace fealty::legion
