#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/address.h"

namespace fealty::api {

// How the ownership of domains is asked of the DNS (domain_check.h).
struct DnsOptions {
  std::vector<Address> servers;       // resolvers; empty: the system's
  std::int64_t timeout_ms = 3'000;    // for all questions about one domain
  std::uint16_t port = 53;            // of the zones' own name servers
  bool allow_private = false;         // name servers may have private addresses
};
[[nodiscard]] inline bool operator==(const DnsOptions& one,
                                     const DnsOptions& other) {
  return one.timeout_ms == other.timeout_ms && one.port == other.port &&
         one.allow_private == other.allow_private &&
         std::equal(one.servers.begin(), one.servers.end(),
                    other.servers.begin(), other.servers.end(),
                    [](const Address& a, const Address& b) {
                      return a.to_string() == b.to_string();
                    });
}

// How the API is announced to the router, as any application: by `fealty
// subscribe`, which is started beside it.
struct SubscribeOptions {
  std::string server;                 // "": it is not
  std::string key;
  std::string sign;                   // DIGEST:FILE
  std::string sni_key;
  std::string sni_crt;
  std::string sni_ca;                 // [!]FILE
  bool operator==(const SubscribeOptions&) const = default;
};

struct LimitOptions {
  std::uint64_t threads = 32;         // requests answered at a time
  std::uint64_t connections = 512;    // read, answered, written; more wait in the kernel
  std::uint64_t per_network = 64;     // of one client's network, but for followers
  std::uint64_t followers = 256;      // of them that follow /events
  std::uint64_t alarms = 100;         // kept of a container
  std::uint64_t metrics_days = 400;   // samples are kept so long
  std::uint64_t audit_days = 365;     // the audit log's lines are kept so long
  std::uint64_t passwords = 2;        // hashed at a time, 64 MiB each
};

struct Options {
  std::string user = "fealty";
  Address listen;                     // behind the router; a Unix socket is the router's alone
  mode_t listen_mode = 0660;          // of a Unix socket's file
  Address admin_listen;               // /admin/...: loopback or a Unix socket
  mode_t admin_listen_mode = 0600;
  // The domain that servers reach it by, and no other; "": none does.
  std::string domain;
  std::int64_t drain_ms = 20'000;     // for what is under way at the end
  std::string database;               // sqlite:///FILE or postgresql://...
  std::string secrets_key_file;
  // Whose X-Forwarded-For and X-Client-DN are believed; a Unix socket's peers always.
  std::vector<Network> trusted_proxies;
  std::string allow_origin = "*";     // Access-Control-Allow-Origin; "": none
  DnsOptions dns;
  SubscribeOptions subscribe;
  LimitOptions limits;
};

inline constexpr std::size_t kBodyBytesMax = 65'536;
inline constexpr std::int64_t kUidBase = 30'000;

}  // namespace fealty::api
