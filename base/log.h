#pragma once

#include <spdlog/fmt/fmt.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

// Lines to stderr: `2026-01-31T12:00:00.123Z warning router: text`, or one
// JSON object a line. Meant for changes of state, not for requests or packets.
// Thread-safe. Never throws; a line that cannot be written is lost.
namespace fealty::log {

enum class Format { kText, kJson };
enum class Level { kDebug, kInfo, kWarning, kError };

// Call once, before the first thread. Without it: text, from kInfo on.
void init(Format format, Level least);

void write(Level level, std::string_view text);

template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

// At most one line an interval; says how many were left out since the last.
// One thread.
class Limiter {
 public:
  explicit Limiter(std::int64_t interval_ms) : interval_ms_(interval_ms) {}
  // True if the line may be written now; *suppressed is then the number of
  // calls refused since the last one that was let through.
  bool allow(std::int64_t now_ms, std::uint64_t* suppressed) {
    if (written_ && now_ms - last_ms_ < interval_ms_) {
      ++suppressed_;
      return false;
    }
    written_ = true;
    last_ms_ = now_ms;
    *suppressed = std::exchange(suppressed_, 0);
    return true;
  }

 private:
  std::int64_t interval_ms_;
  std::int64_t last_ms_ = 0;
  std::uint64_t suppressed_ = 0;
  bool written_ = false;
};

// At most so many lines a second; the caller says once a second that there would
// have been more. One thread.
class LineBudget {
 public:
  enum class Verdict { kWrite, kSayMore, kNo };

  explicit LineBudget(unsigned lines_a_second) : most_(lines_a_second) {}
  [[nodiscard]] Verdict ask(std::int64_t now_ms) {
    if (now_ms - since_ms_ >= 1000) {
      since_ms_ = now_ms;
      lines_ = 0;
    }
    if (lines_ > most_) return Verdict::kNo;
    return ++lines_ > most_ ? Verdict::kSayMore : Verdict::kWrite;
  }

 private:
  unsigned most_;
  unsigned lines_ = 0;
  std::int64_t since_ms_ = 0;
};

// `text` with what would break a line or a terminal (control bytes, quotes,
// bytes beyond ASCII) as \xNN, and cut at 256 bytes: for whatever came from a
// packet or a request.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace fealty::log
