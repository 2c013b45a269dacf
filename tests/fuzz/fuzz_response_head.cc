// Arbitrary bytes as a node's answer: what is written for the client parses to
// the same answer, holds no line that the node did not write as one, tells the
// body's end as the router will frame it, and stays within its bound.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "http/response_head.h"

namespace {

using namespace fealty::http;
using Body = ClientFraming::Body;

void check_end(std::string_view bytes, std::size_t head_bytes,
               std::size_t split) {
  // A head does not end earlier while less of it is there.
  const std::string_view part = bytes.substr(0, split % (bytes.size() + 1));
  const std::size_t found = find_head_end(part);
  FEALTY_CHECK(found == 0 || found == head_bytes);
  FEALTY_CHECK(found != 0 || head_bytes == 0 || part.size() < head_bytes);
}

// Every line ends in CRLF, and neither stands elsewhere.
void check_lines(std::string_view out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (out[i] == '\n') FEALTY_CHECK(i > 0 && out[i - 1] == '\r');
    if (out[i] == '\r') FEALTY_CHECK(i + 1 < out.size() && out[i + 1] == '\n');
    FEALTY_CHECK(out[i] != '\0');
  }
}

std::size_t lines_of(std::string_view text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

// What the session decides of an answer.
Body body_for(const ResponseHead& head, int client_minor_version) {
  if (head.framing == AnswerFraming::kNone ||
      head.framing == AnswerFraming::kLength) {
    return Body::kAsIs;
  }
  return client_minor_version == 0 ? Body::kClose : Body::kChunked;
}

// How a client tells the end of the body from the head that it is given.
void check_framing(const ResponseHead& sent, const ResponseHead& seen,
                   Body body) {
  switch (sent.framing) {
    case AnswerFraming::kNone:
      FEALTY_CHECK(seen.framing == AnswerFraming::kNone);
      break;
    case AnswerFraming::kLength:
      FEALTY_CHECK(seen.framing == AnswerFraming::kLength);
      FEALTY_CHECK(seen.content_length == sent.content_length);
      break;
    case AnswerFraming::kChunked:
    case AnswerFraming::kClose:
      FEALTY_CHECK(seen.framing == (body == Body::kChunked
                                        ? AnswerFraming::kChunked
                                        : AnswerFraming::kClose));
      break;
  }
}

void check_hop_by_hop(std::string_view fields) {
  while (!fields.empty()) {
    const std::string_view line = fields.substr(0, fields.find("\r\n"));
    fields.remove_prefix(line.size() + 2);
    const HeaderRule& rule = rule_of(line.substr(0, line.find(':')));
    if (!rule.hop_by_hop) continue;
    FEALTY_CHECK(line == "Transfer-Encoding: chunked" ||
                 line == "Connection: close" ||
                 line == "Connection: keep-alive");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  if (size < 2) return 0;
  const bool to_head = (data[0] & 1) != 0;
  ClientFraming framing;
  framing.keep_alive = (data[0] & 2) != 0;
  framing.client_minor_version = (data[0] & 4) != 0 ? 1 : 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2,
                               size - 2);
  const std::size_t head_bytes = find_head_end(bytes);
  check_end(bytes, head_bytes, data[1]);
  if (head_bytes == 0) return 0;

  const std::string_view given = bytes.substr(0, head_bytes);
  ResponseHead head;
  if (!parse_response_head(given, to_head, head)) return 0;
  framing.body = body_for(head, framing.client_minor_version);

  std::string out(given.size() + kRewriteOverhead + lines_of(given), '\0');
  const std::size_t written = write_response_head(head, framing, out);
  FEALTY_CHECK(written > 0);
  out.resize(written);
  check_lines(out);
  FEALTY_CHECK(find_head_end(out) == out.size());
  FEALTY_CHECK(lines_of(out) <= lines_of(given) + 2);

  ResponseHead seen;
  FEALTY_CHECK(parse_response_head(out, to_head, seen));
  FEALTY_CHECK(seen.status == head.status && seen.reason == head.reason);
  check_framing(head, seen, framing.body);
  check_hop_by_hop(seen.fields);

  // One byte less of room, and nothing is written.
  std::string tight(written, '\0');
  FEALTY_CHECK(write_response_head(head, framing, tight) == written);
  FEALTY_CHECK(tight == out);
  tight.resize(written - 1);
  FEALTY_CHECK(write_response_head(head, framing, tight) == 0);
  return 0;
}
