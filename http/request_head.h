#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http/header_rules.h"

namespace fealty::http {

// FNV-1a of a header's name in lower case.
[[nodiscard]] constexpr std::uint32_t hash_name(std::string_view name) {
  std::uint32_t hash = 2166136261U;
  for (const char c : name) {
    hash = (hash ^ static_cast<unsigned char>(ascii_lower(c))) * 16777619U;
  }
  return hash;
}

struct HeaderField {
  std::string_view name;
  std::string_view value;       // without the blanks around it
  std::uint32_t name_hash = 0;  // of the name without case: equal names agree
  const HeaderRule* rule = &kOtherHeader;
};

enum class BodyFraming : std::uint8_t { kNone, kLength, kChunked };

// The status to answer a bad head with, and why, in a few words for the
// client's developer. status 0: the head is good.
struct HeadProblem {
  int status = 0;
  std::string_view reason;
};

// A request's head as a gateway needs it. Every view points into the bytes
// given to parse(). Some 6 KiB: one a worker is enough, since a head is parsed
// and encoded in one go.
struct RequestHead {
  static constexpr std::size_t kFieldsMax = 128;

  std::string_view method;
  std::string_view target;      // as received: origin, absolute or "*" form
  // Path and query, raw; "*" for that form. Of an absolute target without a
  // path it begins with "?": the "/" before it is not in the bytes.
  std::string_view uri;
  std::string_view path;        // raw
  std::string_view query;       // raw, without "?"
  std::string_view authority;   // who is asked for: the target's, else Host's
  int minor_version = 1;        // HTTP/1.x

  std::array<HeaderField, kFieldsMax> fields;
  std::size_t field_count = 0;
  // False: no two fields have the same name. True: there may be such.
  bool names_may_repeat = false;

  BodyFraming framing = BodyFraming::kNone;
  std::uint64_t content_length = 0;
  bool keep_alive = true;       // the client's wish, by version and Connection
  bool expect_continue = false;
  bool upgrade = false;         // Connection names upgrade, and it is there
  bool names_fields = false;    // Connection names headers of this hop

  [[nodiscard]] bool is_head() const { return method == "HEAD"; }
  [[nodiscard]] std::string_view protocol() const {
    return minor_version == 0 ? "HTTP/1.0" : "HTTP/1.1";
  }
  // Whether asking twice does what asking once does (RFC 9110 section 9.2.2,
  // and the registered methods that say so of themselves).
  [[nodiscard]] bool is_idempotent() const;
  // The opening handshake of a WebSocket (RFC 6455 section 4.1), as far as a
  // gateway looks at it.
  [[nodiscard]] bool asks_for_websocket() const;
  // Whether Connection names this header: it ends here, too.
  [[nodiscard]] bool is_connection_option(std::string_view name) const;
  [[nodiscard]] const HeaderField* find(Header id) const;
};

// Parses a whole head (HeadScanner has found its end and refused control
// characters) with llhttp in strict mode, whose callbacks only record, and
// then applies what a gateway must insist on: one Host, no two framings, no
// unknown transfer coding, a target of a known form (RFC 9112 sections 3.2,
// 6.1, 6.3). Any thread; no allocation.
[[nodiscard]] HeadProblem parse_request_head(std::string_view bytes,
                                             RequestHead& head);

// host[:port] of an authority: the host in lower case without a trailing dot,
// and "host:port" the same way ("" without a port). Written to the caller's
// arrays.
struct Host {
  static constexpr std::size_t kBytesMax = 255;
  std::array<char, kBytesMax + 8> text;  // host:port
  std::uint16_t host_bytes = 0;
  std::uint16_t all_bytes = 0;
  [[nodiscard]] std::string_view host() const {
    return {text.data(), host_bytes};
  }
  [[nodiscard]] std::string_view host_port() const {
    return all_bytes == host_bytes ? std::string_view{}
                                   : std::string_view{text.data(), all_bytes};
  }
};

// False where the authority is no host with an optional port.
[[nodiscard]] bool normalise_host(std::string_view authority, Host& out);

// "host:port" of a host that was asked for without one.
void add_port(Host& host, std::uint16_t port);

// Writes `path` without its "." and ".." segments to `out` (at least
// path.size() bytes; RFC 3986 section 5.2.4); returns the bytes written. Only
// literal dots count; doubled slashes stay. "*" and the like stay as they are.
[[nodiscard]] std::size_t remove_dot_segments(std::string_view path, char* out);

// Percent-decodes `path` once into `out` (at least path.size() bytes; it may be
// the path itself). SIZE_MAX where an escape is broken or gives a NUL.
[[nodiscard]] std::size_t percent_decode(std::string_view path, char* out);

}  // namespace fealty::http
