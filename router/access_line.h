#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "router/options.h"

namespace fealty::router {

// A request that is over, for a line of the access log. Views; empty where it is
// not known: of a head that was no request, say.
struct AccessEntry {
  std::int64_t unix_ms = 0;            // when it ended
  std::string_view remote_addr;
  std::string_view remote_port;
  std::string_view method;
  std::string_view target;             // as received, cut at kTargetBytesMax
  std::string_view protocol;
  std::string_view host;               // as received
  std::string_view referer;
  std::string_view user_agent;
  std::string_view key;                // of the pool that answered
  std::string_view node;
  int status = 0;                      // 499: the client did not wait
  std::uint64_t body_bytes = 0;        // of the answer, behind its head
  std::uint64_t sent_bytes = 0;        // all of it
  std::int64_t duration_ms = 0;        // from the request's head on
  std::uint64_t request_id = 0;
  bool secure = false;
};

// The local time of day as "combined" has it, worked out once a second.
class AccessClock {
 public:
  // "26/Nov/2026:18:15:36 +0000"; lives until the next call.
  [[nodiscard]] std::string_view local(std::int64_t unix_s);
  // "2026-11-26T18:15:36"
  [[nodiscard]] std::string_view utc(std::int64_t unix_s);

 private:
  struct Text {
    std::int64_t of_s = INT64_MIN;
    std::array<char, 40> bytes{};
    std::size_t size = 0;
  };
  Text local_, utc_;
};

// Writes the line, its newline included. What a client or a node sent cannot end
// a line, a field or a string: control bytes, quotes, backslashes and all beyond
// ASCII are escaped (\xNN, in JSON \u00NN). `out` has kAccessLineBytesMax, which
// is enough for any entry within the bounds below; no allocation.
inline constexpr std::size_t kTargetBytesMax = 2048;
inline constexpr std::size_t kFieldBytesMax = 512;
inline constexpr std::size_t kAccessLineBytesMax = 32 * 1024;
[[nodiscard]] std::size_t write_access_line(AccessFormat format,
                                            const AccessEntry& entry,
                                            AccessClock& clock,
                                            std::span<char> out);

}  // namespace fealty::router
