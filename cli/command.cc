#include "cli/command.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "base/fd.h"

namespace fealty::cli {
namespace {

// exec does the same, but no handler of ours may run once signals are let in.
void drop_handlers() {
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action{};
    if (::sigaction(number, nullptr, &action) != 0) continue;
    if (action.sa_handler != SIG_IGN) ::signal(number, SIG_DFL);
  }
}

// Sockets that systemd handed over are meant for it.
void hand_over_sockets(pid_t parent) {
  const char* const text = std::getenv("LISTEN_PID");
  if (text == nullptr || std::to_string(parent) != text) return;
  ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
}

// In the child. Returns the errno of what failed.
int become(char* const* argv, const Command::Options& options, pid_t parent,
           const sigset_t& mask) {
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::raise(SIGTERM);  // it died meanwhile
  if (!options.keep_notify_socket) {
    for (const char* const name :
         {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
      ::unsetenv(name);
    }
  }
  hand_over_sockets(parent);
  drop_handlers();
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  ::execvp(argv[0], argv);
  return errno;
}

Command::NotStarted not_started(std::string_view name, int error) {
  std::string text = "COMMAND cannot be started: " + std::string(name) + ": " +
                     std::strerror(error);
  if (error == ENOENT) {
    return {text + "; is it installed, and in PATH?", Command::kNotFound};
  }
  if (error == EACCES) text += "; it must be an executable file (chmod +x)";
  if (error == ENOEXEC) text += "; a script begins with #!";
  return {std::move(text), Command::kNotExecutable};
}

std::vector<char*> pointers(const std::vector<std::string>& argv) {
  std::vector<char*> out;
  for (const std::string& word : argv) {
    out.push_back(const_cast<char*>(word.c_str()));
  }
  out.push_back(nullptr);
  return out;
}

// The child's errno; 0 once exec has closed the pipe.
int read_verdict(const UniqueFd& pipe) {
  int error = 0;
  ssize_t got = 0;
  do {
    got = ::read(pipe.get(), &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  return got == sizeof error ? error : 0;
}

int code_of(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

Result<Command, Command::NotStarted> Command::start(
    const std::vector<std::string>& argv, const Options& options) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return not_started(argv[0], errno);
  const UniqueFd verdict(ends[0]);
  UniqueFd writer(ends[1]);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);

  // Between fork and exec none of our handlers may run in the child.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  const std::vector<char*> words = pointers(argv);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) {
    const int error = become(words.data(), options, parent, before);
    const ssize_t told = ::write(writer.get(), &error, sizeof error);
    ::_exit(told == sizeof error ? kNotFound : kNotExecutable);
  }
  const int fork_error = errno;
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return not_started(argv[0], fork_error);
  writer.reset();
  const int error = read_verdict(verdict);
  if (error == 0) return Command(pid);
  ::waitpid(pid, nullptr, 0);
  return not_started(argv[0], error);
}

void Command::signal(int number) const {
  if (!ended()) ::kill(pid_, number);
}

void Command::reap() {
  int status = 0;
  pid_t pid = 0;
  while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid == pid_) exit_code_ = code_of(status);
  }
}

bool Command::sweep(int number) const { return ::kill(-pid_, number) == 0; }

}  // namespace fealty::cli
