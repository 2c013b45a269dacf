#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "subscription/announcement.h"

namespace fealty::subscription {

// A socket that announcements are read from.
struct ServerSocket {
  Address address;                      // UDP or a Unix datagram socket
  std::optional<mode_t> mode;           // of a Unix socket's file
  std::string group{};                  // and its group; "": the process's
};

enum class Digest { kSha1, kSha256, kSha512 };

// Secured subscriptions: which signatures count.
struct SignCheck {
  Digest digest = Digest::kSha1;
  std::string keys;                     // directory of public keys, PEM
  std::int64_t tolerance_s = 60;        // of a packet's stamp, both ways
  std::vector<uid_t> skip_uids;         // senders trusted without a signature
};

// Which node addresses a packet may name.
struct AllowAddresses {
  std::vector<Network> networks;
  // Whole path components: "/run/a" holds "/run/a/x", not "/run/ab". "/" is
  // every path; what begins with "@" bounds abstract names, byte by byte.
  std::vector<std::string> unix_prefixes;
};

// Loopback, private ranges and every Unix socket.
[[nodiscard]] AllowAddresses default_allow_addresses();

// How much time of the control thread's a second checks of signatures may
// take, microseconds (budget.h). An RSA-2048 check counts as 25.
struct CheckShares {
  std::int64_t source_us = 10'000;      // of one source, in vain
  std::int64_t strangers_us = 50'000;   // of all that nothing is known of
  std::int64_t failed_us = 250'000;     // of everybody, in vain
  std::int64_t owner_us = 100'000;      // of one customer's accepted packets
  std::int64_t node_us = 300;           // of one live node, in vain
  std::int64_t nodes_us = 100'000;      // of all live nodes, in vain
};

// A node that the configuration names: it needs no announcement, never expires,
// and nobody's announcement removes it or takes its address.
struct StaticNode {
  std::string key;                      // normalised (key.h)
  Address address;
  Protocol protocol = Protocol::kUwsgi;
  std::uint8_t modifier1 = 0;
  std::uint8_t modifier2 = 0;
  std::uint32_t weight = 1;             // 1 to kWeightMax
  std::uint32_t backup = 0;
  std::optional<Algorithm> algorithm{}; // of the key's pool
};

// The one form of a static node's key, where at most `mountpoints` components of
// a path may be part of it; or why it is none.
[[nodiscard]] Result<std::string> static_key(std::string_view key,
                                             unsigned mountpoints);

struct Options {
  std::vector<ServerSocket> servers;
  std::int64_t tolerance_ms = 17'000;   // silence after which a node leaves
  bool dotsplit = true;
  unsigned mountpoints = 0;             // components of the path that may be
                                        // part of a key; 0: none
  bool expect_port_in_key = false;      // keys are "host:port", all of them
  Algorithm algorithm = Algorithm::kWrr;  // where no announcement names one
  // A pool whose last node left stays for so long, so that requests may wait
  // for a reload; 0: it goes at once.
  std::int64_t hold_ms = 2'000;
  // The share of a node that comes to a pool of older nodes, or back after a
  // rest, grows for so long; 0: it has its whole share at once.
  std::int64_t slow_start_ms = 0;
  std::size_t nodes_max = 2'000'000;    // what announcements can make us hold
  std::optional<SignCheck> sign_check;
  bool use_credentials = false;         // record the kernel's uid, gid, pid
  // Directory of files named after the keys, each owned by the uid and gid that
  // may announce it; "": not looked at. Everybody is asked, trusted or not.
  std::string credentials_check;
  AllowAddresses allow_addresses = default_allow_addresses();
  // And besides, one of sign_check's skip_uids.
  AllowAddresses allow_trusted_addresses;
  // Directories, by whole components, in which certificates may lie. Where
  // there is none, no path is allowed, unless nothing would read it anyway
  // (serves_sni is false, and nobody is told by `resubscribe`): then an
  // announcement's SNI fields are not looked at.
  std::vector<std::string> allow_sni_paths;
  bool serves_sni = false;
  CheckShares check_shares;
  // Subscription servers that every accepted subscription is passed on to, from
  // the address `resubscribe_bind` where it has their family, with `own_address`
  // in place of the node's: that of a listener of this router's that speaks
  // `own_protocol`. Needed only where there are such servers.
  std::vector<Address> resubscribe;
  std::optional<Address> resubscribe_bind;
  Address own_address;
  Protocol own_protocol = Protocol::kHttp;
  std::vector<StaticNode> static_nodes;
};

}  // namespace fealty::subscription
