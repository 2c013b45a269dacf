#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/signing_key.h"

namespace fealty::wire {

// An announcement as its sender makes it (docs/protocol/subscription.md). Texts
// that are empty are left out; what they hold is the caller's business.
struct SubscriptionPacket {
  std::string key;
  std::string address;
  std::uint8_t modifier1 = 0;
  std::uint8_t modifier2 = 0;
  std::uint32_t cores = 1;
  std::uint32_t load = 0;
  std::uint32_t weight = 1;
  std::uint32_t backup = 0;      // 0 is left out
  std::string proto;
  std::string algo;
  std::string sni_key;           // paths, or PEM text
  std::string sni_crt;
  std::string sni_ca;            // a leading '!': clients must have one
  std::string notify;
  // Anything that no other packet of the sender's holds: so the same content is
  // never signed twice, and never refused as a repetition. No router reads it.
  std::string nonce;
};

enum class SubscriptionCommand : std::uint8_t { kSubscribe, kUnsubscribe };

// What fits into a datagram, and what routers read.
inline constexpr std::size_t kSubscriptionBytesMax = 65'507;

// The whole datagram. With `key`, `unix` and the signature end it: `now_s` for
// a subscribe, the next second for an unsubscribe, as uWSGI does it, so that
// the one is newer than the other. Fails if the packet were too long, and says
// how long; or if the key cannot sign.
[[nodiscard]] Result<std::string> encode_subscription(
    const SubscriptionPacket& packet, SubscriptionCommand command,
    std::int64_t now_s, const SigningKey* key);

}  // namespace fealty::wire
