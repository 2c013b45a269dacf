#include "legion/forward_wire.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/secret_file.h"
#include "legion/load.h"

namespace fealty::legion {
namespace {

using namespace forward;

constexpr std::string_view kForwardPurpose = "forward aes-256-gcm 1 ";
// Routers' names in `via` are hexadecimal: none is this word.
constexpr std::string_view kMark = "legion";
constexpr std::size_t kBootAt = wire::kUwsgiHeaderBytes;
constexpr std::size_t kNumberAt = kBootAt + kBootBytes;

std::string purpose_of(std::string_view boot) {
  return std::string(kForwardPurpose) + std::string(boot);
}

std::string random_boot() {
  std::string boot(kBootBytes, '\0');
  FEALTY_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(boot.data()),
                          kBootBytes) == 1);
  return boot;
}

void store_u64le(char* at, std::uint64_t value) {
  for (int i = 0; i < 8; ++i) at[i] = static_cast<char>(value >> 8 * i & 0xFF);
}

using Nonce = std::array<char, Aead::kNonceBytes>;

Nonce nonce_of(std::uint64_t number) {
  Nonce nonce{};
  store_u64le(nonce.data(), number);
  return nonce;
}

// Its form alone: nothing of it is to be believed yet.
bool is_sealed(std::string_view datagram) {
  const auto header = wire::decode_uwsgi_header(datagram);
  return header && header->modifier1 == wire::kModifierLegion &&
         header->modifier2 == kVersion;
}

// Words are divided by one space.
bool has_mark(std::string_view via) {
  while (!via.empty()) {
    const std::size_t end = std::min(via.find(' '), via.size());
    if (via.substr(0, end) == kMark) return true;
    via.remove_prefix(std::min(end + 1, via.size()));
  }
  return false;
}

// What of a subscription packet matters here; empty where it is none.
struct Outline {
  std::string_view via;
  bool has_signature = false;
};
std::optional<Outline> outline_of(std::string_view packet) {
  const auto header = wire::decode_uwsgi_header(packet);
  if (!header || header->modifier1 != wire::kModifierSubscription ||
      header->modifier2 > 1 ||
      header->data_bytes != packet.size() - wire::kUwsgiHeaderBytes) {
    return std::nullopt;
  }
  Outline outline;
  wire::UwsgiPairReader reader(packet.substr(wire::kUwsgiHeaderBytes));
  wire::UwsgiPair pair;
  for (;;) {
    switch (reader.next(pair)) {
      case wire::UwsgiPairReader::Step::kEnd: return outline;
      case wire::UwsgiPairReader::Step::kMalformed: return std::nullopt;
      case wire::UwsgiPairReader::Step::kPair: break;
    }
    if (pair.key == "via") outline.via = pair.value;
    if (pair.key == "sign") outline.has_signature = true;
  }
}

}  // namespace

std::string_view to_string(ForwardDrop drop) {
  switch (drop) {
    case ForwardDrop::kStranger: return "stranger";
    case ForwardDrop::kNotSubscription: return "not_subscription";
    case ForwardDrop::kSigned: return "signed";
    case ForwardDrop::kCameBack: return "came_back";
    case ForwardDrop::kOversized: return "oversized";
    case ForwardDrop::kNotSealed: return "not_sealed";
    case ForwardDrop::kUndecryptable: return "undecryptable";
    case ForwardDrop::kOwn: return "own";
    case ForwardDrop::kStale: return "stale";
    case ForwardDrop::kReplayed: return "replayed";
    case ForwardDrop::kFull: return "full";
    case ForwardDrop::kCount: break;
  }
  return "unknown";
}

ForwardSealer::ForwardSealer(std::string_view secret)
    : boot_(random_boot()), aead_(secret, purpose_of(boot_)) {}

std::string ForwardSealer::seal(std::string_view packet, std::int64_t unix_s) {
  FEALTY_CHECK(packet.size() <= kPacketBytesMax);
  std::string clear;
  clear.reserve(kStampBytes + packet.size());
  clear.resize(kStampBytes);
  store_u64le(clear.data(), static_cast<std::uint64_t>(unix_s));
  clear += packet;
  std::string out(kHeadBytes + clear.size() + Aead::kTagBytes, '\0');
  wire::encode_uwsgi_header(
      out.data(), {wire::kModifierLegion,
                   static_cast<std::uint16_t>(clear.size()), kVersion});
  boot_.copy(out.data() + kBootAt, kBootBytes);
  store_u64le(out.data() + kNumberAt, ++number_);
  aead_.seal(nonce_of(number_).data(), {out.data(), kHeadBytes}, clear,
             out.data() + kHeadBytes);
  wipe(clear);
  return out;
}

Result<std::string, ForwardDrop> ForwardOpener::open(std::string_view datagram,
                                                     std::int64_t now_ms,
                                                     std::int64_t unix_s) {
  if (!is_sealed(datagram)) return ForwardDrop::kNotSealed;
  constexpr std::size_t kLeast = kHeadBytes + kStampBytes + Aead::kTagBytes;
  if (datagram.size() < kLeast ||
      wire::decode_uwsgi_header(datagram)->data_bytes !=
          datagram.size() - kHeadBytes - Aead::kTagBytes) {
    return ForwardDrop::kUndecryptable;
  }
  const std::string boot(datagram.substr(kBootAt, kBootBytes));
  if (boot == own_boot_) return ForwardDrop::kOwn;
  const std::uint64_t number = load_u64le(datagram.data() + kNumberAt);
  const auto known = senders_.find(boot);
  std::optional<Sender> fresh;
  if (known == senders_.end()) {
    fresh = Sender{.aead = Aead(secret_, purpose_of(boot)), .seen = {}};
  }
  Sender& sender = fresh ? *fresh : known->second;

  std::string clear(datagram.size() - kHeadBytes - Aead::kTagBytes, '\0');
  if (!sender.aead.open(nonce_of(number).data(),
                        datagram.substr(0, kHeadBytes),
                        datagram.substr(kHeadBytes), clear.data())) {
    return ForwardDrop::kUndecryptable;
  }
  const auto refused = [&](ForwardDrop why) {
    wipe(clear);
    return why;
  };
  const auto stamp_s = static_cast<std::int64_t>(load_u64le(clear.data()));
  if (stamp_s < unix_s - tolerance_s_ || stamp_s > unix_s + tolerance_s_) {
    return refused(ForwardDrop::kStale);
  }
  if (!may_take(sender, number)) return refused(ForwardDrop::kReplayed);
  if (fresh) forget_the_silent(now_ms);
  if (fresh && senders_.size() >= kSendersMax) {
    return refused(ForwardDrop::kFull);
  }
  take(sender, number);
  sender.heard_ms = now_ms;
  if (fresh) senders_.emplace(boot, *std::move(fresh));
  clear.erase(0, kStampBytes);
  return clear;
}

bool ForwardOpener::may_take(const Sender& sender, std::uint64_t number) {
  if (number > sender.greatest) return true;
  const std::uint64_t behind = sender.greatest - number;
  return behind < kWindow && !sender.seen[behind];
}

void ForwardOpener::take(Sender& sender, std::uint64_t number) {
  if (number > sender.greatest) {
    const std::uint64_t steps = number - sender.greatest;
    sender.seen = steps < kWindow ? sender.seen << steps : 0;
    sender.greatest = number;
  }
  sender.seen.set(sender.greatest - number);
}

void ForwardOpener::forget_the_silent(std::int64_t now_ms) {
  std::erase_if(senders_, [&](const auto& entry) {
    return is_silent(entry.second, now_ms);
  });
}

std::size_t ForwardOpener::senders(std::int64_t now_ms) const {
  return static_cast<std::size_t>(
      std::count_if(senders_.begin(), senders_.end(), [&](const auto& entry) {
        return !is_silent(entry.second, now_ms);
      }));
}

Result<std::string, ForwardDrop> mark_forwarded(std::string_view packet) {
  const auto outline = outline_of(packet);
  if (!outline) return ForwardDrop::kNotSubscription;
  if (outline->has_signature) return ForwardDrop::kSigned;
  if (has_mark(outline->via)) return ForwardDrop::kCameBack;

  std::string out(kPacketBytesMax, '\0');
  wire::UwsgiWriter writer(out);
  wire::UwsgiPairReader reader(packet.substr(wire::kUwsgiHeaderBytes));
  wire::UwsgiPair pair;
  while (reader.next(pair) == wire::UwsgiPairReader::Step::kPair) {
    if (pair.key != "via") writer.add(pair.key, pair.value);
  }
  std::string via(outline->via);
  if (!via.empty()) via += ' ';
  writer.add("via", via.append(kMark));
  const auto header = wire::decode_uwsgi_header(packet);
  const auto marked = writer.finish(header->modifier1, header->modifier2);
  if (marked.empty()) return ForwardDrop::kOversized;
  out.resize(marked.size());
  return out;
}

bool is_forwarded(std::string_view packet) {
  const auto outline = outline_of(packet);
  return outline && has_mark(outline->via);
}

}  // namespace fealty::legion
