#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/loop.h"
#include "base/result.h"

namespace fealty {

// How this process was started, to start its successor so.
struct Program {
  std::string path;                      // "": it cannot be started anew
  std::vector<std::string> arguments;    // the name first

  // As main() was called; the path is where another program may be by now.
  [[nodiscard]] static Program own(int argc, char** argv);
};

// The process that takes this one's place (SIGUSR2), most likely of a newer binary:
// started as this one was, with descriptors of this one's open under the same numbers
// and with bytes in memory that has no name, so that nobody else reads them. It
// says when it serves (Inheritance). The loop's thread.
class Successor {
 public:
  // That it serves; or why it does not, and then nothing is left of it.
  using Done = std::function<void(Status)>;

  Successor(Loop& loop, Program program,
            std::int64_t start_most_ms = kStartMost_ms);
  ~Successor() { give_up(); }
  Successor(const Successor&) = delete;
  Successor& operator=(const Successor&) = delete;

  // `done` is called later, once, where this is fine: after kStartMost_ms at most.
  [[nodiscard]] Status start(std::string_view bytes, std::vector<int> fds,
                             Done done);
  // Of the one that was started last; 0: none was.
  [[nodiscard]] pid_t pid() const { return pid_; }
  // It was started, and has not said anything.
  [[nodiscard]] bool is_starting() const { return says_.valid(); }
  // Ends one that is starting; `done` is not called.
  void give_up();

  static constexpr std::int64_t kStartMost_ms = 60'000;

 private:
  void on_said(int events);
  void on_late();
  void stop_listening();
  void reap();

  const Program program_;
  const std::int64_t start_most_ms_;
  Done done_;
  pid_t pid_ = 0;
  UniqueFd says_;
  bool is_late_ = false;
  IoWatcher io_;
  TimerWatcher timer_;
};

// The other end: what a predecessor left to this process.
class Inheritance {
 public:
  // Taken out of the environment, with the predecessor's words; nothing: nobody is
  // succeeded.
  [[nodiscard]] static Result<std::optional<Inheritance>> take();

  [[nodiscard]] std::string_view bytes() const { return bytes_; }
  // Wiped, since there may be keys in it.
  void forget_bytes();
  // This process serves; the other one lets go.
  void tell();

  Inheritance(Inheritance&& other) noexcept = default;
  Inheritance& operator=(Inheritance&& other) noexcept = default;
  ~Inheritance() { forget_bytes(); }

 private:
  Inheritance() = default;
  std::string bytes_;
  UniqueFd says_;
};

}  // namespace fealty
