#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "sni/options.h"

namespace fealty::router {

enum class ListenerProtocol : std::uint8_t { kHttp, kHttps, kUwsgi };

// A socket that requests are taken from.
struct ListenerOptions {
  Address address;                 // unset where `inherited_fd` is given
  int inherited_fd = -1;           // "fd:3": a listening socket from outside
  std::optional<mode_t> mode;      // of a Unix socket's file
  std::string text;                // as it was written, for messages and stats
  ListenerProtocol protocol = ListenerProtocol::kHttp;
  sni::DefaultIdentity identity;   // kHttps: for unknown names and for none
  bool redirect_to_https = false;  // kHttp: every request, to the same URL
  bool proxy_protocol = false;     // every connection begins with a PROXY header
  // kUwsgi: requests are taken from routers that have the cluster's secret only.
  bool sealed = false;
  // Who may say so; of kUwsgi, whose variables about TLS are believed.
  std::vector<Network> trusted;
};

// What plain HTTP gets of a domain that demands client certificates.
enum class PlainHttp : std::uint8_t { kRedirect, kRefuse, kServe };

struct Timeouts {                  // milliseconds
  std::int64_t handshake_ms = 10'000;    // of TLS, from the connection on
  std::int64_t head_ms = 10'000;         // a request's head, from its first byte
  std::int64_t connect_ms = 60'000;      // one node's connection
  std::int64_t node_ms = 500'000;        // silence of a node that has a request
  std::int64_t client_ms = 60'000;       // silence of a client amid a request
  std::int64_t keepalive_ms = 5'000;     // idle between two requests
  std::int64_t drain_ms = 30'000;        // what SIGTERM leaves to the running
  std::int64_t spawn_ms = 10'000;        // a sleeping application's start
  // Connections to HTTP nodes between two requests. Most applications close
  // theirs after 5 s or later (Node.js 5 s, Apache 5 s, Gunicorn 2 s).
  std::int64_t node_idle_ms = 4'000;
  std::int64_t node_age_ms = 300'000;    // older ones are not kept again
};

struct Limits {
  std::size_t head_bytes = 64 * 1024;    // request line and headers
  std::size_t connections = 65'536;      // clients, all workers together
  std::uint64_t body_bytes = UINT64_MAX; // a request's body
  std::size_t body_memory_bytes = 256 * 1024;  // of a body kept; the rest: file
  std::uint32_t node_idle_connections = 256;   // kept a worker and HTTP node
  // A request waits so long for an application that has no node, or whose nodes
  // are gone, and so many do at a time, all workers together; 0: it fails.
  std::int64_t hold_ms = 2'000;
  std::size_t held_requests = 4096;
};

// How the key is found that a request is for (route.h).
struct RouteRules {
  unsigned mountpoints = 0;        // components of the path; 0: none
  bool expect_port_in_key = false;
};

// Requests of the router's own that ask HTTP nodes whether they are well
// (health.h).
struct HealthCheck {
  std::string path = "/";
  std::int64_t interval_ms = 10'000;     // between two of one node's
  std::int64_t timeout_ms = 2'000;       // at most interval_ms
  unsigned fall = 2;                     // failures in a row that make it ill
  unsigned rise = 1;                     // successes that make it well again

  bool operator==(const HealthCheck&) const = default;
};

// What can stand in a request's line: a path with an optional query.
[[nodiscard]] constexpr bool is_check_path(std::string_view path) {
  for (const char c : path) {
    if (c <= ' ' || c > '~' || c == '#') return false;
  }
  return path.starts_with('/');
}

enum class AccessFormat : std::uint8_t { kJson, kCombined };

// A line for each request that is over (access_log.h).
struct AccessLogOptions {
  std::string path = "-";                // "-": stdout
  AccessFormat format = AccessFormat::kJson;
};

struct Options {
  unsigned workers = 0;                  // 0: one a core
  std::string user = "www-data";         // only when started as root
  std::vector<ListenerOptions> listeners;
  sni::Options tls;
  PlainHttp plain_http_for_client_auth = PlainHttp::kRedirect;
  // Applications get clients' certificates themselves, not only their subject:
  // HTTPS_CC (PEM) and HTTPS_CLIENT_CERTIFICATE (DER).
  bool client_certificate_variables = false;
  // Run when an identity comes within tls.expiry_alarm_days of its end: with
  // FEALTY_NAME, FEALTY_DAYS and FEALTY_EXPIRES in its environment. "": none.
  std::string expiry_alarm_command;
  Timeouts timeouts;
  Limits limits;
  RouteRules routes;
  // The datagram socket that is asked for sleeping vassals; unset: nobody is.
  std::optional<Address> emperor;
  // Where nodes may have their Unix sockets, and no link may lead out of it
  // (subscription.allow_addresses); empty: anywhere.
  std::vector<std::string> node_path_prefixes;
  std::string temp_dir = "/var/tmp";     // unlinked files of large bodies
  // Fixed variables added to every request of a uwsgi node.
  std::vector<std::pair<std::string, std::string>> extra_variables;
  std::vector<Address> admin;
  // What sticky cookies are signed with, made if it is not there; "": drawn at
  // each start.
  std::string sticky_secret_file;
  // What requests to other routers' fastrouters are sealed with (request_seal.h);
  // "": they are not.
  std::string cluster_secret_file;
  std::optional<HealthCheck> health_check;   // none: nobody is asked
  std::optional<AccessLogOptions> access_log;
};

}  // namespace fealty::router
