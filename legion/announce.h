#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fealty::legion {

// A member's name for itself, new at each start: 36 characters on the wire, all
// NUL where there is none (a vote for nobody).
class Uuid {
 public:
  static constexpr std::size_t kBytes = 36;

  Uuid() = default;
  // Random, from the system's generator.
  [[nodiscard]] static Uuid draw();
  // False where `text` is neither 36 visible ASCII characters nor 36 NULs.
  [[nodiscard]] static bool parse(std::string_view text, Uuid& out);

  [[nodiscard]] bool empty() const { return text_[0] == '\0'; }
  [[nodiscard]] std::string_view bytes() const {
    return {text_.data(), text_.size()};
  }
  // "-" where there is none.
  [[nodiscard]] std::string_view text() const {
    return empty() ? std::string_view("-") : bytes();
  }
  friend auto operator<=>(const Uuid&, const Uuid&) = default;

 private:
  std::array<char, kBytes> text_{};
};

// Whom a member votes for; both parts empty: nobody.
struct Vote {
  std::uint64_t valor = 0;
  Uuid uuid;
  friend bool operator==(const Vote&, const Vote&) = default;
};

// Sealed wire: the newest packet that the sender has from a member.
struct Heard {
  Uuid uuid;
  std::uint64_t sequence = 0;
};

// What one announcement says (docs/protocol/legion.md has the pairs). The last
// group of members travels on the sealed wire only.
struct Announce {
  std::string legion;
  std::uint64_t valor = 0;          // 0: an arbiter
  std::int64_t unix_s = 0;          // the sender's wall clock
  std::int64_t lord_since_s = 0;    // the same; 0: it is not the Lord
  std::string name;                 // of its host
  std::uint64_t pid = 0;
  Uuid uuid;
  std::uint64_t checksum = 0;       // of the Legion as the sender sees it
  Vote vote;
  std::string scroll;
  bool dead = false;

  std::uint64_t sequence = 0;       // strictly rising for a uuid, from 1
  std::vector<Heard> heard;
  // Members that may vote, which it hears and is heard by, and itself. 0: it has
  // just started, and votes for nobody yet.
  std::uint64_t links = 0;
  bool idle = false;                // it is no Lord, and has given back what it held
  bool hurry = false;               // it misses somebody: answer now
  std::int64_t tolerance_ms = 0;    // what its promises and leases are made of
  std::uint64_t quorum = 0;
  bool unbound = false;             // its vote is no promise: it goes by uWSGI's rules
  bool sealed = false;              // it came on the sealed wire (not in the text)
};

// Bounds of what is taken from others; the sizes are bytes.
inline constexpr std::size_t kLegionNameMax = 255;
inline constexpr std::size_t kHostNameMax = 255;
inline constexpr std::size_t kScrollMax = 32'768;   // uWSGI's legion-scroll-max-size
inline constexpr std::size_t kMembersMax = 64;      // besides oneself
inline constexpr std::size_t kClearTextMax = 60'000;

enum class Wire : std::uint8_t { kUwsgi, kSealed };

// The clear text of a packet: uwsgi pairs without their header. Pure. Fails
// where it would be longer than kClearTextMax.
[[nodiscard]] Result<std::string> encode_announce(const Announce& announce,
                                                  Wire wire);

// Empty error: it is none. Refused are pairs that point beyond the end, doubled
// keys, numbers that are no decimal digits or do not fit, texts beyond the
// bounds, a missing key, and on the sealed wire a sequence number of 0. Unknown
// keys are passed over. Fuzzed by tests/fuzz/fuzz_legion_announce.cc.
struct Malformed {
  std::string_view why;
};
[[nodiscard]] Result<Announce, Malformed> decode_announce(std::string_view clear,
                                                          Wire wire);

// A member's part of the checksum: its valor and the bytes of its uuid.
[[nodiscard]] std::uint64_t checksum_part(std::uint64_t valor, const Uuid& uuid);

}  // namespace fealty::legion
