#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "http/request_head.h"

namespace fealty::http {

// How a node's answer tells its end (RFC 9112 section 6.3).
enum class AnswerFraming : std::uint8_t { kNone, kLength, kChunked, kClose };

// A node's response head: the status and what the gateway must know. The
// views point into the bytes that were parsed.
struct ResponseHead {
  int status = 0;
  std::string_view reason;         // as received; may be empty
  std::string_view fields;         // the header lines, without the empty line
  AnswerFraming framing = AnswerFraming::kClose;
  std::uint64_t content_length = 0;
  bool has_content_length = false; // even where the answer has no body
  // The node will take another request on this connection (RFC 9112 section
  // 9.3): HTTP/1.1, and no Connection: close. 1.0's keep-alive does not count;
  // nor does that of a node that announces a body where there is none (204, 304,
  // an answer to HEAD): some send it all the same, as Gunicorn does to HEAD.
  bool keep_alive = false;
  bool to_websocket = false;       // Upgrade names the WebSocket, alone
  // Headers that Connection names: for this connection only.
  static constexpr std::size_t kConnectionOptionsMax = 8;
  std::array<std::string_view, kConnectionOptionsMax> connection_options;
  std::size_t connection_option_count = 0;

  [[nodiscard]] bool interim() const { return status >= 100 && status < 200; }
};

// The length of the head at the start of `bytes` (its empty line included), or
// 0 while it is incomplete. Lines may end in LF alone: what applications print
// is taken as they meant it, and goes out with CRLF.
[[nodiscard]] std::size_t find_head_end(std::string_view bytes);

// More header lines than this are no answer. (Each line may grow by a byte when
// it is written for the client, and the sum must stay bounded.)
inline constexpr std::size_t kResponseFieldsMax = 512;

// Parses a whole head of `find_head_end` bytes. False where it is no HTTP/1
// response, a field holds a control character or a bare CR, a name is no
// token, a line is folded, Connection names more than kConnectionOptionsMax
// headers, or its framing is contradictory: the node is at
// fault (502). `to_head`: it answers a HEAD request, so has no body.
[[nodiscard]] bool parse_response_head(std::string_view bytes, bool to_head,
                                       ResponseHead& head);

// What the gateway decides about the answer as it goes to the client.
struct ClientFraming {
  enum class Body : std::uint8_t {
    kAsIs,      // no body, or the node's Content-Length
    kChunked,   // "Transfer-Encoding: chunked" is added
    kClose,     // the end of the connection is the end of the body
  };
  Body body = Body::kAsIs;
  bool keep_alive = true;
  int client_minor_version = 1;
  bool to_websocket = false;  // the 101 that the client asked for
  // Header lines of the gateway's own, each with its CRLF.
  std::string_view more_fields{};
};

// Writes the head for the client: "HTTP/1.1", the node's status and headers
// unchanged and in their order but for hop-by-hop ones and the framing. `out`
// has room for kRewriteOverhead and more_fields beside the head that was parsed
// (each LF line grows by one). Returns the bytes written, 0 where they do not fit.
inline constexpr std::size_t kRewriteOverhead = 128;
[[nodiscard]] std::size_t write_response_head(const ResponseHead& head,
                                              const ClientFraming& framing,
                                              std::span<char> out);

}  // namespace fealty::http
