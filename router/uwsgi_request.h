#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "http/request_head.h"
#include "router/node_uwsgi.h"

namespace fealty::router {

// A request as a fastrouter's client sends it: a uwsgi packet. Views of the
// packet's bytes.
struct UwsgiRequest {
  std::string_view data;         // the pairs, for uwsgi nodes
  // Who is asked for: UWSGI_FASTROUTER_KEY, else HTTP_HOST, else SERVER_NAME.
  std::string_view key;
  // What the packet says of the client and its connection.
  std::string_view remote_addr;
  std::string_view remote_port;
  std::string_view client_subject;   // HTTPS_DN
  bool https = false;
};

// Names of headers are written anew, in lower case and with dashes, into so much.
inline constexpr std::size_t kHeaderNamesBytesMax = 64 * 1024;

// Reads the packet's pairs (the bytes behind its header) into what the router
// goes by: `request`, and `head` as an HTTP request would have given it. Its
// framing is CONTENT_LENGTH alone. Refused: pairs beyond the data; a variable
// twice that decides where the request goes or ends; a method, target, or value
// of a header that HTTP could not carry. Views of `data` and `names`; no
// allocation. Any thread.
[[nodiscard]] http::HeadProblem parse_uwsgi_request(std::string_view data,
                                                    std::span<char> names,
                                                    UwsgiRequest& request,
                                                    http::RequestHead& head);

// Whether the variable speaks of TLS: believed only of those who are trusted.
[[nodiscard]] bool speaks_of_tls(std::string_view variable);

// Writes the packet for a uwsgi node: the pairs as they came, but for those that
// no client's header may become, and those that speak of TLS where they are not believed, and `extra` behind them. Modifiers 0.
[[nodiscard]] Encoded forward_uwsgi_request(const UwsgiRequest& request,
                                            bool believes_tls,
                                            const ExtraVariables& extra,
                                            std::span<char> out,
                                            std::size_t& packet_bytes);

}  // namespace fealty::router
