#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "http/request_head.h"
#include "router/node_uwsgi.h"

namespace fealty::router {

// How the node is told where the request's body ends.
struct NodeBody {
  http::BodyFraming framing = http::BodyFraming::kNone;
  std::uint64_t length = 0;    // kLength only
};

// Writes a request's head as an HTTP/1.1 node gets it: made anew from what was
// understood, not the client's bytes passed on.
//
//   METHOD target HTTP/1.1      the target in origin form, raw; "*" as it is
//   Host: authority             as it was asked for: the target's, else Host's
//   the client's headers        in their order, but those that end here (RFC
//                               9110 section 7.6.1, and what Connection names),
//                               those that the router writes itself, and names
//                               with '_', as for uwsgi nodes
//   Connection, Upgrade         where a WebSocket is asked for
//   X-Forwarded-For, -Proto, -Host   the router's truth; a client's own go
//   X-Client-DN                 the subject of its verified certificate, if any
//   Content-Length or Transfer-Encoding: chunked, by `body`
//
// There is no Connection: close: the node keeps the connection. Which header is
// which is written once, in http/header_rules.h. kTooLarge where `out` has no
// room; never kBadPath: an HTTP node gets the path raw. Pure; no allocation.
[[nodiscard]] Encoded encode_http_request(const http::RequestHead& head,
                                          const ConnectionVariables& connection,
                                          const NodeBody& body,
                                          std::span<char> out,
                                          std::size_t& head_bytes);

}  // namespace fealty::router
