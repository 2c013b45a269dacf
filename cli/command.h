#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace fealty::cli {

// COMMAND, the application itself: a child in a session of its own, so that a
// terminal's Ctrl-C reaches it through us, after the router was told.
//
// It gets SIGTERM should this process be killed. Whoever it leaves behind
// becomes ours (PR_SET_CHILD_SUBREAPER) and is reaped; those of its process
// group can be ended with sweep(). Signals that we ignored when we were started
// stay ignored for it; all others are as they were.
//
// One at a time. Single-threaded processes only.
class Command {
 public:
  struct Options {
    bool keep_notify_socket = false;   // systemd's variables stay for it
  };
  // Why it did not start; the shells' exit codes for that.
  struct NotStarted {
    std::string message;
    int exit_code = kNotFound;
  };
  static constexpr int kNotFound = 127;
  static constexpr int kNotExecutable = 126;

  [[nodiscard]] static Result<Command, NotStarted> start(
      const std::vector<std::string>& argv, const Options& options);

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool ended() const { return exit_code_.has_value(); }
  // 128 and the signal's number where one killed it.
  [[nodiscard]] int exit_code() const { return exit_code_.value_or(0); }

  void signal(int number) const;
  // Reaps every child that has ended. Call it on SIGCHLD.
  void reap();
  // After its end: `number` to whoever is left of its group. False: nobody is.
  [[nodiscard]] bool sweep(int number) const;

 private:
  explicit Command(pid_t pid) : pid_(pid) {}

  pid_t pid_;
  std::optional<int> exit_code_;
};

}  // namespace fealty::cli
