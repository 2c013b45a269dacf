#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "base/fd.h"
#include "base/loop.h"
#include "cli/plan.h"

namespace fealty::cli {

// Looks whether the application answers: one look at a time, on the loop, never
// blocking. A look ends within kLimit_ms, in exactly one call of `on_done`,
// which may start the next one.
class Check {
 public:
  static constexpr std::int64_t kLimit_ms = 5'000;
  static constexpr std::size_t kHeadBytesMax = 4096;

  enum class Finding : std::uint8_t {
    kAnswers,    // takes connections; where it is asked, with 2xx or 3xx
    kNobody,     // nothing listens there
    kBad,        // something does, but it is slow or says otherwise
  };
  // `why` is empty for kAnswers.
  using Done = std::function<void(Finding finding, const std::string& why)>;

  // `target` must outlive it.
  Check(Loop& loop, const CheckTarget& target, Done on_done);
  Check(const Check&) = delete;
  Check& operator=(const Check&) = delete;

  // Nothing while a look is under way.
  void start();
  void stop();

 private:
  void connect_next();
  void on_ready(int events);
  void on_limit();
  void on_connected();
  void on_answer();
  void done(Finding finding, const std::string& why);
  void failed(int error);

  Loop& loop_;
  const CheckTarget& target_;
  Done on_done_;
  UniqueFd fd_;
  IoWatcher io_;
  TimerWatcher limit_;
  TimerWatcher soon_;            // on_done is never called from within start()
  std::size_t next_ = 0;         // of the addresses
  bool connected_ = false;
  std::string answer_;
};

// The status of an HTTP answer's first line; 0 while the line is not whole, -1
// where it is no HTTP.
[[nodiscard]] int http_status(const std::string& answer);

}  // namespace fealty::cli
