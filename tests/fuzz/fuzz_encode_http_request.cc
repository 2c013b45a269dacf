// A request that the parser lets pass, as an HTTP node gets it: the same parser
// reads there exactly what a plain reading of the rules gives, one framing, and
// nothing that the client wrote speaks for the router.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "http/head_scanner.h"
#include "http/request_head.h"
#include "router/node_http.h"

namespace {

using namespace fealty;
using Fields = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view kRemote = "192.0.2.1";

std::string lower(std::string_view text) {
  std::string made(text);
  for (char& c : made) c = http::ascii_lower(c);
  return made;
}

bool ends_here(const std::string& name, const std::vector<std::string>& named) {
  static const std::vector<std::string> kHere = {
      "te", "host", "proxy", "expect", "trailer", "upgrade", "connection",
      "keep-alive", "x-client-dn", "content-length", "x-forwarded-for",
      "x-forwarded-host", "x-forwarded-proto", "proxy-connection",
      "transfer-encoding"};
  for (const auto* list : {&kHere, &named}) {
    for (const std::string& gone : *list) {
      if (name == gone) return true;
    }
  }
  return name.find('_') != std::string::npos;
}

std::vector<std::string> named_by_connection(const http::RequestHead& head) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < head.field_count; ++i) {
    if (lower(head.fields[i].name) != "connection") continue;
    http::for_each_token(head.fields[i].value, [&](std::string_view token) {
      names.push_back(lower(token));
    });
  }
  return names;
}

bool has(const http::RequestHead& head, std::string_view name) {
  for (std::size_t i = 0; i < head.field_count; ++i) {
    if (lower(head.fields[i].name) == name) return true;
  }
  return false;
}

Fields expected(const http::RequestHead& head) {
  const std::string authority(head.authority);
  const auto named = named_by_connection(head);
  Fields fields = {{"Host", authority}};
  for (std::size_t i = 0; i < head.field_count; ++i) {
    const http::HeaderField& field = head.fields[i];
    if (ends_here(lower(field.name), named)) continue;
    fields.emplace_back(field.name, field.value);
  }
  if (head.asks_for_websocket()) {
    fields.emplace_back("Connection", "Upgrade");
    fields.emplace_back("Upgrade", "websocket");
  }
  fields.emplace_back("X-Forwarded-For", kRemote);
  fields.emplace_back("X-Forwarded-Proto", "http");
  if (!authority.empty()) fields.emplace_back("X-Forwarded-Host", authority);
  switch (head.framing) {
    case http::BodyFraming::kLength:
      fields.emplace_back("Content-Length",
                          std::to_string(head.content_length));
      break;
    case http::BodyFraming::kChunked:
      fields.emplace_back("Transfer-Encoding", "chunked");
      break;
    case http::BodyFraming::kNone:
      if (has(head, "content-length")) {
        fields.emplace_back("Content-Length", "0");
      }
      break;
  }
  return fields;
}

std::string expected_target(const http::RequestHead& head) {
  const std::string uri(head.uri.substr(0, head.uri.find('#')));
  return uri.starts_with('/') || uri == "*" ? uri : "/" + uri;
}

struct Encoding {
  router::Encoded result = router::Encoded::kTooLarge;
  std::string head;
};

Encoding encode(const http::RequestHead& head, std::size_t room) {
  // Of exactly this size: the sanitizer sees a write behind it.
  const std::unique_ptr<char[]> out(new char[room]);
  Encoding encoding;
  std::size_t bytes = 0;
  encoding.result = router::encode_http_request(
      head, {kRemote, "4711", "8080", nullptr},
      {head.framing, head.content_length}, {out.get(), room}, bytes);
  if (encoding.result == router::Encoded::kOk) {
    encoding.head.assign(out.get(), bytes);
  }
  return encoding;
}

// As the node reads it.
void check_read_back(const std::string& text, const http::RequestHead& sent) {
  http::HeadScanner scanner;
  FEALTY_CHECK(scanner.scan(text) == http::HeadScanner::Step::kComplete);
  FEALTY_CHECK(scanner.head_bytes() == text.size());
  static http::RequestHead got;
  const http::HeadProblem problem = http::parse_request_head(text, got);
  // The router's own headers may be one too many for a reader like itself.
  if (problem.status == 431) return;
  FEALTY_CHECK(problem.status == 0);
  FEALTY_CHECK(got.method == sent.method && got.minor_version == 1);
  FEALTY_CHECK(got.target == expected_target(sent));
  FEALTY_CHECK(got.framing == sent.framing);
  FEALTY_CHECK(got.content_length == sent.content_length);
  FEALTY_CHECK(got.keep_alive && !got.expect_continue && !got.names_fields);
  FEALTY_CHECK(got.upgrade == sent.asks_for_websocket());
  Fields fields;
  for (std::size_t i = 0; i < got.field_count; ++i) {
    fields.emplace_back(got.fields[i].name, got.fields[i].value);
  }
  FEALTY_CHECK(fields == expected(sent));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  http::HeadScanner scanner;
  if (scanner.scan(text) != http::HeadScanner::Step::kComplete) return 0;
  static http::RequestHead head;
  if (http::parse_request_head(text.substr(0, scanner.head_bytes()), head)
          .status != 0) {
    return 0;
  }
  http::Host host{};
  if (!head.authority.empty() && !http::normalise_host(head.authority, host)) {
    return 0;
  }
  const Encoding whole = encode(head, size + 1'024 + 2 * head.authority.size());
  FEALTY_CHECK(whole.result == router::Encoded::kOk);
  check_read_back(whole.head, head);
  FEALTY_CHECK(encode(head, whole.head.size() - 1).result ==
               router::Encoded::kTooLarge);
  FEALTY_CHECK(encode(head, whole.head.size()).head == whole.head);
  return 0;
}
