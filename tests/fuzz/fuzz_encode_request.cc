// A request that the parser lets pass, as a uwsgi packet: it decodes to exactly
// the variables that a plain reading of the specification gives, each once, and
// nothing that the client wrote becomes a variable of the router's own.

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "http/head_scanner.h"
#include "http/request_head.h"
#include "router/node_uwsgi.h"
#include "wire/uwsgi_packet.h"

namespace {

using namespace fealty;
using Variables = std::map<std::string, std::string>;

std::string lower(std::string_view text) {
  std::string made(text);
  for (char& c : made) c = http::ascii_lower(c);
  return made;
}

std::string variable_name(const std::string& lower_name) {
  std::string name = lower_name;
  for (char& c : name) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - ('a' - 'A'));
    if (c == '-') c = '_';
  }
  return lower_name == "content-length" || lower_name == "content-type"
             ? name
             : "HTTP_" + name;
}

// The path as segments, "." and ".." of which are taken at their word; no
// escape is looked at.
std::string without_dot_segments(std::string_view path) {
  if (!path.starts_with('/')) return std::string(path);
  std::vector<std::string_view> kept;
  bool ends_in_slash = false;
  for (std::size_t at = 1; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view segment = path.substr(at, end - at);
    ends_in_slash = segment == "." || segment == "..";
    if (segment == ".." && !kept.empty()) kept.pop_back();
    if (!ends_in_slash) kept.push_back(segment);
    at = end + 1;
  }
  std::string plain;
  for (const std::string_view segment : kept) (plain += '/') += segment;
  return ends_in_slash ? plain + "/" : plain;
}

bool dropped(const std::string& lower_name) {
  return lower_name == "proxy" || lower_name == "x-client-dn" ||
         lower_name == "transfer-encoding" ||
         lower_name.find('_') != std::string::npos;
}

// The table of uwsgi-wire.md, read line by line.
Variables expected(const http::RequestHead& head, const http::Host& host,
                   const std::string& path) {
  const bool rooted = head.uri.starts_with('/') || head.uri == "*";
  Variables variables = {
      {"REQUEST_METHOD", std::string(head.method)},
      {"REQUEST_URI", (rooted ? "" : "/") + std::string(head.uri)},
      {"PATH_INFO", path},
      {"QUERY_STRING", std::string(head.query)},
      {"SERVER_PROTOCOL", head.minor_version == 0 ? "HTTP/1.0" : "HTTP/1.1"},
      {"SCRIPT_NAME", ""},
      {"SERVER_NAME", std::string(host.host())},
      {"SERVER_PORT", "8080"},
      {"UWSGI_ROUTER", "http"},
      {"REMOTE_ADDR", "192.0.2.1"},
      {"REMOTE_PORT", "4711"}};
  for (std::size_t i = 0; i < head.field_count; ++i) {
    const std::string name = lower(head.fields[i].name);
    if (dropped(name)) continue;
    const std::string value(name == "host" ? head.authority
                                           : head.fields[i].value);
    const auto [at, added] = variables.emplace(variable_name(name), value);
    if (!added) at->second += (name == "cookie" ? "; " : ", ") + value;
  }
  // The absolute form of a target names the host by itself.
  if (!head.authority.empty()) {
    variables.emplace("HTTP_HOST", std::string(head.authority));
  }
  return variables;
}

Variables decoded(std::string_view packet) {
  const auto header = wire::decode_uwsgi_header(packet);
  FEALTY_CHECK(header && header->modifier1 == 0 && header->modifier2 == 0);
  FEALTY_CHECK(header->data_bytes + wire::kUwsgiHeaderBytes == packet.size());
  Variables variables;
  wire::UwsgiPairReader reader(packet.substr(wire::kUwsgiHeaderBytes));
  wire::UwsgiPair pair;
  auto step = reader.next(pair);
  for (; step == wire::UwsgiPairReader::Step::kPair; step = reader.next(pair)) {
    FEALTY_CHECK(
        variables.emplace(std::string(pair.key), std::string(pair.value))
            .second);
  }
  FEALTY_CHECK(step == wire::UwsgiPairReader::Step::kEnd);
  return variables;
}

void check_no_forgery(const Variables& variables) {
  for (const char* name :
       {"HTTPS", "HTTPS_DN", "HTTPS_CC", "HTTPS_CLIENT_CERTIFICATE",
        "HTTP_PROXY", "HTTP_X_CLIENT_DN", "REMOTE_USER", "DOCUMENT_ROOT",
        "SCRIPT_FILENAME", "UWSGI_SCRIPT", "UWSGI_FILE", "UWSGI_MODULE",
        "HTTP_TRANSFER_ENCODING"}) {
    FEALTY_CHECK(variables.count(name) == 0);
  }
  FEALTY_CHECK(variables.at("REMOTE_ADDR") == "192.0.2.1");
}

struct Encoding {
  router::Encoded result = router::Encoded::kTooLarge;
  std::string packet;
};

Encoding encode(const http::RequestHead& head, const http::Host& host,
                std::size_t room) {
  const router::ConnectionVariables connection{"192.0.2.1", "4711", "8080",
                                               nullptr};
  // Of exactly this size: the sanitizer sees a write behind it.
  const std::unique_ptr<char[]> out(new char[room]);
  Encoding encoding;
  std::size_t bytes = 0;
  encoding.result = router::encode_uwsgi_request(
      head, host, connection, {out.get(), room}, bytes);
  if (encoding.result == router::Encoded::kOk) {
    encoding.packet.assign(out.get(), bytes);
  }
  return encoding;
}

void check_length_appended(const std::string& packet, Variables wanted,
                           std::uint64_t length) {
  std::string out = packet + std::string(40, '\0');
  const std::size_t bytes =
      router::append_content_length(out, packet.size(), length);
  wanted.emplace("CONTENT_LENGTH", std::to_string(length));
  FEALTY_CHECK(decoded(std::string_view(out).substr(0, bytes)) == wanted);
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
  const std::string plain = without_dot_segments(head.path);
  std::string path(plain.size(), '\0');
  const std::size_t path_bytes = http::percent_decode(plain, path.data());
  const bool path_is_good = path_bytes != SIZE_MAX;
  if (path_is_good) path.resize(path_bytes);

  const bool chunked = head.framing == http::BodyFraming::kChunked;
  const Encoding large = encode(head, host, 70'000);
  if (large.result != router::Encoded::kOk) {
    FEALTY_CHECK(large.result == router::Encoded::kTooLarge || !path_is_good);
    return 0;
  }
  FEALTY_CHECK(path_is_good);
  const Variables wanted = expected(head, host, path);
  FEALTY_CHECK(decoded(large.packet) == wanted);
  check_no_forgery(wanted);
  if (chunked) check_length_appended(large.packet, wanted, UINT64_MAX);

  // Where it is too small for the packet, nothing is written; what is large
  // enough gives the same. (An escape needs its raw bytes' room, and a chunked
  // body's length is provided for.)
  const std::size_t least = large.packet.size();
  const std::size_t enough =
      least + (head.path.size() - path.size()) + (chunked ? 38 : 0);
  FEALTY_CHECK(encode(head, host, least - 1).result ==
               router::Encoded::kTooLarge);
  const Encoding tight = encode(head, host, enough);
  FEALTY_CHECK(tight.result == router::Encoded::kOk);
  FEALTY_CHECK(tight.packet == large.packet);
  return 0;
}
