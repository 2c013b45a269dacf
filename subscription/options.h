#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"

namespace fealty::subscription {

// A socket that announcements are read from.
struct ServerSocket {
  Address address;                      // UDP or a Unix datagram socket
  std::optional<mode_t> mode;           // of a Unix socket's file
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

struct Options {
  std::vector<ServerSocket> servers;
  std::int64_t tolerance_ms = 17'000;   // silence after which a node leaves
  bool dotsplit = true;
  std::optional<SignCheck> sign_check;
  bool use_credentials = false;         // record the kernel's uid, gid, pid
  AllowAddresses allow_addresses = default_allow_addresses();
};

}  // namespace fealty::subscription
