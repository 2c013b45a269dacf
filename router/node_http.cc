#include "router/node_http.h"

#include <charconv>
#include <cstring>
#include <string_view>

namespace fealty::router {
namespace {

using http::AsField;
using http::BodyFraming;
using http::Header;
using http::HeaderField;
using http::RequestHead;

constexpr std::string_view kCrlf = "\r\n";

// Appends while there is room.
class Writer {
 public:
  explicit Writer(std::span<char> out)
      : begin_(out.data()), at_(begin_), end_(begin_ + out.size()) {}

  void add(std::string_view text) {
    if (static_cast<std::size_t>(end_ - at_) < text.size()) {
      overflow_ = true;
      return;
    }
    if (text.empty()) return;
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void add(std::string_view name, std::string_view value) {
    add(name);
    add(value);
    add(kCrlf);
  }
  void add(std::string_view name, std::uint64_t value) {
    char digits[20];
    const char* const end =
        std::to_chars(digits, digits + sizeof digits, value).ptr;
    add(name, std::string_view(digits, static_cast<std::size_t>(end - digits)));
  }
  [[nodiscard]] bool overflow() const { return overflow_; }
  [[nodiscard]] std::size_t bytes() const {
    return static_cast<std::size_t>(at_ - begin_);
  }

 private:
  char* begin_;
  char* at_;
  char* end_;
  bool overflow_ = false;
};

void add_request_line(Writer& out, const RequestHead& head) {
  out.add(head.method);
  out.add(" ");
  // A fragment is not the server's to know (RFC 9110 section 7.1).
  const std::string_view uri = head.uri.substr(0, head.uri.find('#'));
  if (uri.empty() || uri.front() == '?') out.add("/");
  out.add(uri);
  out.add(" HTTP/1.1\r\n");
}

bool travels(const RequestHead& head, const HeaderField& field) {
  return field.rule->as_field == AsField::kCopied &&
         field.name.find('_') == std::string_view::npos &&
         !(head.names_fields && head.is_connection_option(field.name));
}

// "name: value" as a client mostly writes it: then line after line can be
// copied in one go.
bool is_plain(const HeaderField& field) {
  const char* const colon = field.name.data() + field.name.size();
  return field.value.data() == colon + 2 && colon[1] == ' ';
}

std::string_view line_of(const HeaderField& field) {
  const char* const end = field.value.data() + field.value.size();
  return {field.name.data(),
          static_cast<std::size_t>(end - field.name.data())};
}

void add_fields(Writer& out, const RequestHead& head) {
  std::size_t i = 0;
  while (i < head.field_count) {
    const HeaderField& first = head.fields[i++];
    if (!travels(head, first)) continue;
    if (!is_plain(first)) {
      out.add(first.name);
      out.add(": ", first.value);
      continue;
    }
    std::string_view run = line_of(first);
    for (; i < head.field_count; ++i) {
      const HeaderField& next = head.fields[i];
      const bool adjoins = next.name.data() == run.data() + run.size() + 2;
      if (!adjoins || !is_plain(next) || !travels(head, next)) break;
      run = {run.data(), run.size() + 2 + line_of(next).size()};
    }
    out.add(run);
    out.add(kCrlf);
  }
}

void add_forwarded(Writer& out, const RequestHead& head,
                   const ConnectionVariables& connection) {
  // The clients of a Unix listener have no address.
  if (!connection.remote_addr.empty()) {
    out.add("X-Forwarded-For: ", connection.remote_addr);
  }
  out.add(connection.https ? "X-Forwarded-Proto: https\r\n"
                           : "X-Forwarded-Proto: http\r\n");
  if (!head.authority.empty()) out.add("X-Forwarded-Host: ", head.authority);
  if (!connection.client_subject.empty()) {
    out.add("X-Client-DN: ", connection.client_subject);
  }
}

void add_framing(Writer& out, const RequestHead& head, const NodeBody& body) {
  switch (body.framing) {
    case BodyFraming::kLength:
      out.add("Content-Length: ", body.length);
      break;
    case BodyFraming::kChunked:
      out.add("Transfer-Encoding: chunked\r\n");
      break;
    case BodyFraming::kNone:
      if (head.find(Header::kContentLength) != nullptr) {
        out.add("Content-Length: 0\r\n");
      }
      break;
  }
}

}  // namespace

Encoded encode_http_request(const RequestHead& head,
                            const ConnectionVariables& connection,
                            const NodeBody& body, std::span<char> out,
                            std::size_t& head_bytes) {
  Writer text(out);
  add_request_line(text, head);
  text.add("Host: ", head.authority);
  add_fields(text, head);
  if (head.asks_for_websocket()) {
    text.add("Connection: Upgrade\r\nUpgrade: websocket\r\n");
  }
  add_forwarded(text, head, connection);
  add_framing(text, head, body);
  text.add(kCrlf);
  head_bytes = text.overflow() ? 0 : text.bytes();
  return text.overflow() ? Encoded::kTooLarge : Encoded::kOk;
}

}  // namespace fealty::router
