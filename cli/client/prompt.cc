#include "cli/client/prompt.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/fd.h"
#include "cli/client/visible.h"
#include "cli/files.h"

namespace fealty::cli {
namespace {

// Signals that would end or stop the process come to a descriptor meanwhile, so
// that the terminal can be set right before.
class HeldSignals {
 public:
  HeldSignals() {
    ::sigemptyset(&set_);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP}) {
      ::sigaddset(&set_, number);
    }
    ::sigprocmask(SIG_BLOCK, &set_, &before_);
    fd_.reset(::signalfd(-1, &set_, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;
  ~HeldSignals() {
    signalfd_siginfo came{};
    while (::read(fd_.get(), &came, sizeof came) == sizeof came) {
      ::raise(static_cast<int>(came.ssi_signo));
    }
    if (took_ != 0) ::raise(took_);
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  [[nodiscard]] int fd() const { return fd_.get(); }
  // It is raised again when the terminal is as it was.
  void take() {
    signalfd_siginfo came{};
    if (::read(fd_.get(), &came, sizeof came) == sizeof came) {
      took_ = static_cast<int>(came.ssi_signo);
    }
  }

 private:
  sigset_t set_{};
  sigset_t before_{};
  UniqueFd fd_;
  int took_ = 0;
};

class QuietTerminal {
 public:
  QuietTerminal(int fd, Echo echo) : fd_(fd) {
    if (echo == Echo::kYes || ::tcgetattr(fd, &before_) != 0) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    changed_ = ::tcsetattr(fd, TCSAFLUSH, &quiet) == 0;
  }
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;
  ~QuietTerminal() {
    if (!changed_) return;
    ::tcsetattr(fd_, TCSAFLUSH, &before_);
    say(fd_, "\n");
  }
  static void say(int fd, std::string_view text) {
    const ssize_t wrote = ::write(fd, text.data(), text.size());
    (void)wrote;                 // a terminal that is gone says so on reading
  }

 private:
  int fd_;
  termios before_{};
  bool changed_ = false;
};

Result<std::string, Problem> first_line(std::string text) {
  text.resize(std::min(text.find('\n'), text.size()));
  if (text.ends_with('\r')) text.pop_back();
  if (text.size() > kTypedBytesMax) return Problem("longer than 1024 bytes");
  if (!is_utf8(text)) return Problem("this is no UTF-8");
  return text;
}

// A line of the terminal's, in canonical mode.
Result<std::string, Problem> read_line(int terminal, HeldSignals& signals) {
  std::string line;
  while (line.size() <= kTypedBytesMax && line.find('\n') == line.npos) {
    const Problem nothing("nothing was entered");
    pollfd both[] = {{terminal, POLLIN, 0}, {signals.fd(), POLLIN, 0}};
    if (::poll(both, 2, -1) < 0 && errno != EINTR) return nothing;
    if (both[1].revents != 0) {
      signals.take();
      return nothing;
    }
    if (both[0].revents == 0) continue;
    char piece[256];
    const ssize_t got = ::read(terminal, piece, sizeof piece);
    if (got < 0) return nothing;
    if (got == 0) break;
    line.append(piece, static_cast<std::size_t>(got));
  }
  // What is left of a line that is too long is for nobody else.
  if (line.size() > kTypedBytesMax) ::tcflush(terminal, TCIFLUSH);
  return first_line(std::move(line));
}

}  // namespace

Result<std::string, Problem> ask(const std::string& question, Echo echo) {
  const UniqueFd terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!terminal.valid()) {
    return Problem("there is no terminal to ask for it (" + question + ")");
  }
  HeldSignals signals;
  const QuietTerminal quiet(terminal.get(), echo);
  QuietTerminal::say(terminal.get(), question + ": ");
  return read_line(terminal.get(), signals);
}

Result<std::string, Problem> ask_new_secret(const std::string& what) {
  auto first = ask(what, Echo::kNo);
  if (!first) return first;
  if (first->empty()) return Problem("an empty one is none; nothing was changed");
  const auto second = ask(what + " again", Echo::kNo);
  if (!second) return second;
  if (*first != *second) {
    return Problem("the two are not the same; nothing was changed");
  }
  return first;
}

Result<std::string, Problem> read_stdin(std::size_t bytes_max, Until until) {
  std::string text;
  char piece[4096];
  while (until == Until::kEnd || text.find('\n') == text.npos) {
    const ssize_t got = ::read(STDIN_FILENO, piece, sizeof piece);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Problem(std::string("stdin: ") + std::strerror(errno));
    if (got == 0) break;
    text.append(piece, static_cast<std::size_t>(got));
    const std::size_t wanted = until == Until::kEnd
                                   ? text.size()
                                   : std::min(text.find('\n'), text.size());
    if (wanted > bytes_max) {
      return Problem("stdin: longer than " + std::to_string(bytes_max) +
                     " bytes");
    }
  }
  return text;
}

Result<std::string, Problem> read_secret_from_stdin() {
  auto text = read_stdin(kTypedBytesMax, Until::kLine);
  return text ? first_line(*std::move(text)) : text;
}

Result<std::string, Problem> read_secret_from(const std::string& path) {
  auto text = read_own_file(path);
  if (!text) return Problem(text.error());
  auto line = first_line(*std::move(text));
  if (!line) return Problem(path + ": " + line.error().message);
  return line;
}

}  // namespace fealty::cli
