#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "legion/aead.h"
#include "wire/uwsgi_packet.h"

namespace fealty::legion {

// What forwarders send each other, a subscription in each datagram:
//
//   datagram = 109:u8  clear_bytes:u16le  2:u8  boot[16]  number:u64le
//              cipher text[clear_bytes]  tag[16]
//   clear    = unix:u64le  packet
//
// AES-256-GCM; all before the cipher text is authenticated. `boot` is random, one
// for each run of a sender, and has a key of its own: HKDF of the secret with the
// info "forward aes-256-gcm 1 " and the boot. So the number, which rises from 1,
// is the nonce, and none comes twice under one key however much is sent. What a
// Legion announces (sealed.h) has another key and another last byte in its
// header: neither is ever taken for the other.
//
// Repetition. A number counts once for a boot; behind the greatest one kWindow are
// told apart, what is older is refused. The stamp bounds for how long that must be
// remembered: a datagram counts within the tolerance of its stamp, both ways, and
// who was not heard for twice as long is forgotten.

// Why a datagram went no further. The first ones are of the local router's, the
// others of other members'.
enum class ForwardDrop : std::uint8_t {
  kStranger,        // a Unix socket: sent by a user who is not among those named
  kNotSubscription, // no subscription packet, or lengths that do not add up
  kSigned,          // its signature would not cover what is sent on
  kCameBack,        // another member's forwarder had it before
  kOversized,       // sealed it would not fit into a datagram
  kNotSealed,       // of another form: uWSGI's own, or a Legion's
  kUndecryptable,   // another secret, forged, bent or cut
  kOwn,             // sent by this forwarder itself
  kStale,           // its stamp is further from our clock than the tolerance
  kReplayed,
  kFull,            // kSendersMax are known
  kCount,
};
[[nodiscard]] std::string_view to_string(ForwardDrop drop);

namespace forward {
inline constexpr std::uint8_t kVersion = 2;      // the header's last byte
inline constexpr std::size_t kBootBytes = 16;
inline constexpr std::size_t kNumberBytes = 8;
inline constexpr std::size_t kStampBytes = 8;
inline constexpr std::size_t kHeadBytes =
    wire::kUwsgiHeaderBytes + kBootBytes + kNumberBytes;
inline constexpr std::size_t kDatagramBytesMax = 65'507;   // of UDP over IPv4
inline constexpr std::size_t kPacketBytesMax =
    kDatagramBytesMax - kHeadBytes - kStampBytes - Aead::kTagBytes;
}  // namespace forward

// Seals what one run of a forwarder sends. One thread.
class ForwardSealer {
 public:
  explicit ForwardSealer(std::string_view secret);

  // The datagram for a packet of at most forward::kPacketBytesMax.
  [[nodiscard]] std::string seal(std::string_view packet, std::int64_t unix_s);
  [[nodiscard]] const std::string& boot() const { return boot_; }

 private:
  std::string boot_;
  Aead aead_;
  std::uint64_t number_ = 0;
};

// Opens what other forwarders have sealed. Cost of a forged datagram: one key's
// derivation and one check of its bytes; nothing of it is remembered. One thread.
class ForwardOpener {
 public:
  static constexpr std::size_t kWindow = 1024;
  static constexpr std::size_t kSendersMax = 256;

  ForwardOpener(std::string_view secret, std::string_view own_boot)
      : secret_(secret), own_boot_(own_boot) {}

  void set_tolerance(std::int64_t tolerance_s) { tolerance_s_ = tolerance_s; }
  // The packet; or why there is none, and then nothing was remembered.
  [[nodiscard]] Result<std::string, ForwardDrop> open(
      std::string_view datagram, std::int64_t now_ms, std::int64_t unix_s);
  // Who was heard of late.
  [[nodiscard]] std::size_t senders(std::int64_t now_ms) const;

 private:
  struct Sender {
    Aead aead;
    std::uint64_t greatest = 0;
    std::bitset<kWindow> seen;           // [i]: the number greatest - i
    std::int64_t heard_ms = 0;
  };

  [[nodiscard]] static bool may_take(const Sender& sender,
                                     std::uint64_t number);
  static void take(Sender& sender, std::uint64_t number);
  // Whatever they sent is stale by now.
  [[nodiscard]] bool is_silent(const Sender& sender,
                               std::int64_t now_ms) const {
    return now_ms - sender.heard_ms > 2 * tolerance_s_ * 1000;
  }
  void forget_the_silent(std::int64_t now_ms);

  std::string secret_;
  std::string own_boot_;
  std::int64_t tolerance_s_ = 60;
  std::unordered_map<std::string, Sender> senders_;      // by their boot
};

// The subscription packet with the mark of a forwarder among the routers that
// passed it on (`via`), as it is sealed; or why it must not go on: one that has
// the mark came from another member, and was handed on by the router that got it
// (docs/decisions/0021). Pure.
[[nodiscard]] Result<std::string, ForwardDrop> mark_forwarded(
    std::string_view packet);
// Whether it is a subscription packet that has the mark.
[[nodiscard]] bool is_forwarded(std::string_view packet);

}  // namespace fealty::legion
