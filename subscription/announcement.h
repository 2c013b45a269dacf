#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/result.h"
#include "subscription/key.h"

namespace fealty::subscription {

// Why a packet was not taken. Counted one by one; to_string() gives the name
// used in logs and metrics.
enum class Rejection : std::uint8_t {
  kTruncated,         // shorter than its header says, or longer
  kNotSubscription,   // modifier1 is not 224, or modifier2 neither 0 nor 1
  kMalformed,         // a pair's length points beyond the packet
  kDuplicateField,
  kBadKey,            // absent, empty, over 255 bytes, or not of a key's shape
  kBadAddress,        // absent, empty, over 255 bytes, or no socket address
  kBadNumber,         // a number that is none, or too large
  kBadValue,          // a NUL, or a value that has no meaning (proto, algo)
  kUnsupported,       // what this router does not serve (fastcgi, scgi)
  kAfterSignature,    // a pair behind `sign`
  kUnsigned,
  kNoKey,             // no readable public key for the domain
  kBadSignature,
  kStale,             // the stamp is outside the tolerance, or was overtaken
  kReplayed,          // its signature was taken before
  kOverBudget,        // its source has had its share of signature checks
  kNotOwner,          // credentials_check: the sender does not own the key
  kAddressNotAllowed,
  kAddressTaken,      // another customer's node announced it
  kSniNotAllowed,     // allow_sni_paths, or no regular file of the sender's
  kTableFull,
  kCount,             // how many there are
};
[[nodiscard]] std::string_view to_string(Rejection reason);

// How a node is spoken to (uwsgi-wire: the first letter of `proto` decides).
enum class Protocol : std::uint8_t { kUwsgi, kHttp, kFastCgi, kScgi };
[[nodiscard]] std::string_view to_string(Protocol protocol);

// How a pool's next node is chosen (`algo`).
enum class Algorithm : std::uint8_t {
  kWrr,       // smooth weighted round robin
  kLrc,       // the fewest requests in flight
  kWlrc,      // the same, divided by the weight
  kIphash,    // by the client's address
  kSticky,    // wrr, and then by a signed cookie
};
[[nodiscard]] std::string_view to_string(Algorithm algorithm);

// One subscription packet, decoded and within bounds. The key is normalised
// (key.h); nothing has been verified. Where there is no address, `address_text`
// is empty and `vassal` is not.
struct Announcement {
  bool subscribe = true;
  std::string key;
  std::string address_text;     // as announced: the node's name
  Address address;
  std::uint8_t modifier1 = 0;
  std::uint8_t modifier2 = 0;
  std::uint32_t cores = 0;
  std::uint32_t load = 0;
  std::uint32_t weight = 1;     // 0 on the wire means 1; at most kWeightMax
  std::uint32_t backup = 0;
  Protocol protocol = Protocol::kUwsgi;
  std::optional<Algorithm> algorithm;   // of the pool; absent: as configured
  // On-demand vassals: the name that the Emperor knows the node by ("" for
  // any other node), and whether it sleeps. Only such a node may come without
  // an address. `clear`: whoever sleeps under this key is forgotten.
  std::string vassal;
  bool inactive = false;
  bool clear = false;
  // Paths or PEM text, as they came; view the packet.
  std::string_view sni_key;
  std::string_view sni_crt;
  std::string_view sni_ca;
  [[nodiscard]] bool demands_client() const { return sni_ca.starts_with('!'); }
  // Which of its key's materials it names (materials.h); 0: none, or nobody
  // has looked yet.
  std::uint32_t material = 0;
  std::string notify;           // datagram socket to acknowledge to; may be ""
  // The routers that passed it on (resubscribe.h); views the packet.
  std::string_view via;
  std::int64_t unix_s = 0;      // 0: absent
  // What `signature` covers, and the signature; both view the packet.
  std::string_view signed_bytes;
  std::string_view signature;   // empty: unsigned
};

inline constexpr std::size_t kAddressBytesMax = 255;
inline constexpr std::size_t kVassalBytesMax = 255;
inline constexpr std::size_t kViaBytesMax = 255;
inline constexpr std::uint32_t kWeightMax = 1'000'000;

// Decodes one datagram. Pure; the views live as long as `packet`. Unknown
// fields are ignored. Fuzzed by tests/fuzz/fuzz_announcement.cc.
[[nodiscard]] Result<Announcement, Rejection> parse_announcement(
    std::string_view packet);

}  // namespace fealty::subscription
