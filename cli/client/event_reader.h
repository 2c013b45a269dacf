#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fealty::cli {

// Reads a stream of events (text/event-stream; the HTML standard, 9.2) as far as
// it concerns who only wants to know that there are events of a name: these, and
// how long to wait before the next stream. Lines that are longer than any of
// those are passed over.
class EventReader {
 public:
  static constexpr std::size_t kLineBytesMax = 256;

  explicit EventReader(std::string_view name) : name_(name) {}

  // Whether there was one in this piece of the stream.
  [[nodiscard]] bool feed(std::string_view piece);
  // As the stream said last.
  [[nodiscard]] std::optional<std::int64_t> retry_ms() const {
    return retry_ms_;
  }

 private:
  [[nodiscard]] bool on_line();

  const std::string name_;
  std::string line_;
  std::optional<std::int64_t> retry_ms_;
};

}  // namespace fealty::cli
