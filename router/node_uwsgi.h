#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/request_head.h"

namespace fealty::router {

using ExtraVariables = std::vector<std::pair<std::string, std::string>>;

// A client's variable gives way to one of these.
[[nodiscard]] inline bool is_among(const ExtraVariables* extra,
                                   std::string_view name) {
  return extra != nullptr &&
         std::any_of(extra->begin(), extra->end(),
                     [&](const auto& pair) { return pair.first == name; });
}

// What the connection, not the request, says of the variables.
struct ConnectionVariables {
  std::string_view remote_addr;
  std::string_view remote_port;
  std::string_view server_port;
  const ExtraVariables* extra = nullptr;   // may be null
  bool https = false;
  // Of the client's verified certificate; "" where there is none, or where the
  // applications are not to have it.
  std::string_view client_subject{};
  std::string_view client_pem{};
  std::string_view client_der{};
};

// How encoding ended.
enum class Encoded : std::uint8_t {
  kOk,
  kTooLarge,     // beyond the buffer, or the format's 65535 bytes: 431
  kBadPath,      // a broken percent escape, or one that gives NUL: 400
};

// Writes the uwsgi packet of a request (spec: "Request variables the router
// sends"): modifiers 0, to be set by set_modifiers(). A chunked body's length
// is not known yet: append_content_length() adds it, and room for that is
// always left. Pure; no allocation.
[[nodiscard]] Encoded encode_uwsgi_request(const http::RequestHead& head,
                                           const http::Host& host,
                                           const ConnectionVariables& connection,
                                           std::span<char> out,
                                           std::size_t& packet_bytes);

void set_modifiers(char* packet, std::uint8_t modifier1,
                   std::uint8_t modifier2);

// Adds CONTENT_LENGTH to an encoded packet of a chunked request; returns the
// packet's new size. `out` is the buffer that it was encoded into.
[[nodiscard]] std::size_t append_content_length(std::span<char> out,
                                                std::size_t packet_bytes,
                                                std::uint64_t length);

}  // namespace fealty::router
