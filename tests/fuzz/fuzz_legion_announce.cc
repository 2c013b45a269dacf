// A Legion's datagram, and a clear text, through cipher and decoder of both
// wires: whatever is taken is within the bounds, reads back the same, and an
// election that gets it stays within its own.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "legion/announce.h"
#include "legion/cipher.h"
#include "legion/election.h"
#include "legion/sealed.h"

namespace {

using namespace fealty::legion;

void check(const Announce& announce, Wire wire) {
  FEALTY_CHECK(announce.legion.size() <= kLegionNameMax);
  FEALTY_CHECK(announce.name.size() <= kHostNameMax);
  FEALTY_CHECK(announce.scroll.size() <= kScrollMax);
  FEALTY_CHECK(announce.heard.size() <= kMembersMax);
  FEALTY_CHECK(announce.unix_s >= 0 && announce.lord_since_s >= 0);
  FEALTY_CHECK(!announce.uuid.empty());
  const auto clear = encode_announce(announce, wire);
  FEALTY_CHECK(clear.has_value());
  const auto again = decode_announce(*clear, wire);
  FEALTY_CHECK(again.has_value());
  FEALTY_CHECK(again->uuid == announce.uuid && again->vote == announce.vote);
  FEALTY_CHECK(again->scroll == announce.scroll);
  FEALTY_CHECK(*encode_announce(*again, wire) == *clear);
}

void elect(const Announce& announce, Wire wire) {
  Uuid own;
  FEALTY_CHECK(Uuid::parse(std::string(Uuid::kBytes, 'o'), own));
  ElectionOptions options;
  options.valor = 5;
  options.quorum = 2;
  Election election(options, wire, announce.legion, "host", 1, own, 0);
  std::int64_t now_ms = 1;
  for (int i = 0; i < 3; ++i) {
    now_ms += 700;
    static_cast<void>(election.on_announce(announce, "from", now_ms, now_ms,
                                           announce.unix_s));
    static_cast<void>(election.make_announce(now_ms, announce.unix_s));
    FEALTY_CHECK(election.members().size() <= 1);
    FEALTY_CHECK(election.next_wake_ms(now_ms) >= now_ms);
  }
  election.advance(now_ms + 1'000'000, announce.unix_s);
  FEALTY_CHECK(election.members().empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  static const auto cipher = UwsgiCipher::make("aes-128-cbc", "secret", "");
  static const SealedWire sealed("secret", "cluster");
  FEALTY_CHECK(cipher.has_value());
  static_cast<void>(sealed.open(bytes));
  const auto opened = cipher->open(bytes);
  for (const Wire wire : {Wire::kUwsgi, Wire::kSealed}) {
    for (const std::string_view clear :
         {bytes, opened ? std::string_view(*opened) : std::string_view{}}) {
      const auto announce = decode_announce(clear, wire);
      if (!announce) {
        FEALTY_CHECK(!announce.error().why.empty());
        continue;
      }
      check(*announce, wire);
      elect(*announce, wire);
    }
  }
  return 0;
}
