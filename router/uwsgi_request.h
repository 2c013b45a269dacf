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
  // PATH_INFO, as the application sees it: decoded already. data() is null
  // where none came.
  std::string_view path_info;
  // What the packet says of the client and its connection; "" where that is no
  // address, or no port.
  std::string_view remote_addr;
  std::string_view remote_port;
  std::string_view client_subject;   // HTTPS_DN
  bool https = false;
  // Of RequestSeal: what it covers, and what it says; "" where there is none, or
  // where it is not the last that stands there.
  std::string_view sealed;
  std::string_view seal;
};

// Names of headers are written anew, in lower case and with dashes, into so much.
inline constexpr std::size_t kHeaderNamesBytesMax = 64 * 1024;

// Reads the packet's pairs (the bytes behind its header) into what the router
// goes by: `request`, and `head` as an HTTP request would have given it. Its
// framing is CONTENT_LENGTH alone. Refused: pairs beyond the data; a variable
// twice that decides where the request goes or ends; a method, target (a path,
// or "*" of OPTIONS), host or value of a header that HTTP could not carry; a
// body without its length. Without REQUEST_URI the target is made of PATH_INFO
// and QUERY_STRING. Views of `data` and `names`; no allocation. Any thread.
[[nodiscard]] http::HeadProblem parse_uwsgi_request(std::string_view data,
                                                    std::span<char> names,
                                                    UwsgiRequest& request,
                                                    http::RequestHead& head);

// Whether the variable counts only of those who are trusted: what speaks of TLS
// or of a user who was let in, and what tells a uWSGI node which file or code
// to run.
[[nodiscard]] bool is_for_trusted(std::string_view variable);

// What becomes of the pairs on their way to a uwsgi node.
struct UwsgiForward {
  bool peer_trusted = false;
  // Whom the router takes for the client, where that is not what the packet
  // says.
  bool own_client = false;
  std::string_view remote_addr{};
  std::string_view remote_port{};
  const ExtraVariables* extra = nullptr;   // may be null
};

// Writes the packet for a uwsgi node: the pairs as they came, but for those that
// no client's header may become, those that only the trusted may send, and those
// that `how` has a value for, which follow. Modifiers 0.
[[nodiscard]] Encoded forward_uwsgi_request(const UwsgiRequest& request,
                                            const UwsgiForward& how,
                                            std::span<char> out,
                                            std::size_t& packet_bytes);

}  // namespace fealty::router
