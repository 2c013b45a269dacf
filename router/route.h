#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "http/request_head.h"
#include "router/options.h"
#include "subscription/snapshot.h"

namespace fealty::router {

// The pool that a request is for, and how it was found: the one look-up that
// sessions and /explain share.
struct Route {
  const subscription::Pool* pool = nullptr;  // null: nobody answers
  // An escape of the path is broken or gives a NUL, and the path matters.
  bool bad_path = false;
};

struct RoutePath {
  std::string_view text;           // without query
  bool decoded = false;            // it is what the application sees already
  RoutePath(std::string_view raw, bool is_decoded = false)
      : text(raw), decoded(is_decoded) {}
};

// Looks `host` up, with `path` where mountpoints are served: a raw one's dot
// segments removed and its escapes undone once, exactly as
// PATH_INFO is made, so that what the application sees is what was looked up.
//
// With expect_port_in_key a key is always "host:port": the port is the one that
// the client named, or `default_port`, the scheme's, which is added to `host`
// then. Keys without a port, wildcards among them, answer for nobody.
//
// `scratch` has at least path.text.size() bytes. Any thread; no allocation.
[[nodiscard]] Route find_route(const subscription::Snapshot& snapshot,
                               const RouteRules& rules, http::Host& host,
                               RoutePath path,
                               std::uint16_t default_port,
                               std::span<char> scratch);

}  // namespace fealty::router
