// Arbitrary bytes as a fastrouter's client's packet: nothing is read beyond them;
// what is taken can be carried by HTTP, and is forwarded with nothing that a client
// may not say.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "router/node_http.h"
#include "router/uwsgi_request.h"
#include "wire/uwsgi_packet.h"

namespace {

// Of the head that an HTTP node is sent.
std::size_t lines_of(const fealty::http::RequestHead& head) {
  using fealty::http::BodyFraming;
  using fealty::http::Header;
  std::size_t lines = 5;  // the request's, Host, two of X-Forwarded, the empty
  if (!head.authority.empty()) ++lines;
  if (head.framing == BodyFraming::kLength ||
      head.find(Header::kContentLength) != nullptr) {
    ++lines;
  }
  if (head.asks_for_websocket()) lines += 2;
  for (std::size_t i = 0; i < head.field_count; ++i) {
    const auto& field = head.fields[i];
    if (field.rule->as_field == fealty::http::AsField::kCopied &&
        !(head.names_fields && head.is_connection_option(field.name))) {
      ++lines;
    }
  }
  return lines;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace fealty;
  using namespace fealty::router;
  if (size > wire::kUwsgiDataBytesMax) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  static std::vector<char> names(kHeaderNamesBytesMax);
  static std::vector<char> out(wire::kUwsgiPacketBytesMax);
  static http::RequestHead head;
  UwsgiRequest request;
  if (parse_uwsgi_request(bytes, names, request, head).status != 0) return 0;
  std::size_t written = 0;
  if (forward_uwsgi_request(request, {}, out, written) == Encoded::kOk) {
    wire::UwsgiPairReader reader(
        std::string_view(out.data(), written).substr(wire::kUwsgiHeaderBytes));
    wire::UwsgiPair pair;
    auto step = reader.next(pair);
    for (; step == wire::UwsgiPairReader::Step::kPair;
         step = reader.next(pair)) {
      FEALTY_CHECK(!is_for_trusted(pair.key) && pair.key != "HTTP_PROXY");
    }
    FEALTY_CHECK(step == wire::UwsgiPairReader::Step::kEnd);
  }
  const ConnectionVariables connection{"192.0.2.7", "1", "80"};
  const NodeBody body{head.framing, head.content_length};
  if (encode_http_request(head, connection, body, out, written) !=
      Encoded::kOk) {
    return 0;
  }
  // Lines, an empty one, and none inside a line; as many as there are headers.
  const std::string_view text(out.data(), written);
  FEALTY_CHECK(text.find("\r\n\r\n") == text.size() - 4);
  FEALTY_CHECK(text.find('\0') == text.npos);
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\n') FEALTY_CHECK(at > 0 && text[at - 1] == '\r');
  }
  FEALTY_CHECK(head.target.starts_with('/') || head.target == "*");
  FEALTY_CHECK(std::count(text.begin(), text.end(), '\n') ==
               static_cast<std::ptrdiff_t>(lines_of(head)));
  return 0;
}
