#include "http/request_head.h"

#include <llhttp.h>

#include <algorithm>
#include <charconv>
#include <span>

#include "wire/subscription_key.h"

namespace fealty::http {
namespace {

constexpr HeadProblem kGood{};

// What the parser's callbacks write to.
struct Recorder {
  RequestHead* head;
  bool too_many = false;
};

Recorder& recorder(llhttp_t* parser) {
  return *static_cast<Recorder*>(parser->data);
}

// A span that continues the last one of the same kind extends it.
void extend(std::string_view& view, const char* at, std::size_t bytes) {
  if (!view.empty() && view.data() + view.size() == at) {
    view = {view.data(), view.size() + bytes};
  } else {
    view = {at, bytes};
  }
}

int on_method(llhttp_t* parser, const char* at, std::size_t bytes) {
  extend(recorder(parser).head->method, at, bytes);
  return 0;
}

int on_url(llhttp_t* parser, const char* at, std::size_t bytes) {
  extend(recorder(parser).head->target, at, bytes);
  return 0;
}

int on_field(llhttp_t* parser, const char* at, std::size_t bytes) {
  Recorder& record = recorder(parser);
  if (record.head->field_count == RequestHead::kFieldsMax) {
    record.too_many = true;
    return -1;
  }
  extend(record.head->fields[record.head->field_count].name, at, bytes);
  return 0;
}

int on_value(llhttp_t* parser, const char* at, std::size_t bytes) {
  Recorder& record = recorder(parser);
  extend(record.head->fields[record.head->field_count].value, at, bytes);
  return 0;
}

int on_value_complete(llhttp_t* parser) {
  RequestHead& head = *recorder(parser).head;
  ++head.field_count;
  if (head.field_count < RequestHead::kFieldsMax) {
    head.fields[head.field_count] = {};
  }
  return 0;
}

int on_headers_complete(llhttp_t*) { return HPE_PAUSED; }

const llhttp_settings_t& settings() {
  static const llhttp_settings_t instance = [] {
    llhttp_settings_t made;
    llhttp_settings_init(&made);
    made.on_method = on_method;
    made.on_url = on_url;
    made.on_header_field = on_field;
    made.on_header_value = on_value;
    made.on_header_value_complete = on_value_complete;
    made.on_headers_complete = on_headers_complete;
    return made;
  }();
  return instance;
}

bool is_token_char(char c) {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
      (c >= 'A' && c <= 'Z')) {
    return true;
  }
  return c != '\0' &&
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

// llhttp knows a list of methods; a well-formed one that it does not know is
// not the client's mistake (RFC 9110 section 9.1: 501).
HeadProblem method_problem(std::string_view bytes) {
  const std::string_view method = bytes.substr(0, bytes.find(' '));
  const bool token = !method.empty() && method.size() <= 32 &&
                     std::all_of(method.begin(), method.end(), is_token_char);
  if (token && method.size() < bytes.size()) {
    return {501, "unknown request method"};
  }
  return {400, "malformed request line"};
}

HeadProblem parse_problem(llhttp_errno_t error, const llhttp_t& parser,
                          std::string_view bytes) {
  switch (error) {
    case HPE_INVALID_METHOD:
    case HPE_PAUSED_H2_UPGRADE:
      return method_problem(bytes);
    case HPE_INVALID_VERSION:
      return {505, "unsupported HTTP version"};
    case HPE_INVALID_URL:
      return {400, "malformed request target"};
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
      return {400, "malformed Content-Length"};
    case HPE_INVALID_CONSTANT: {
      // RTSP's and ICE's methods, which the parser knows of.
      const std::string_view reason = llhttp_get_error_reason(&parser);
      if (reason.starts_with("Invalid method")) return method_problem(bytes);
      return {400, "malformed request line"};
    }
    case HPE_INVALID_TRANSFER_ENCODING:
      return {400, "malformed Transfer-Encoding"};
    default:
      return {400, parser.http_major == 0 ? "malformed request line"
                                          : "malformed header"};
  }
}

void trim(std::string_view& value) {
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) {
    value.remove_suffix(1);
  }
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) {
    value.remove_prefix(1);
  }
}

// Registered methods that the parser's list lacks: QUERY, which is younger, and
// WebDAV's rarer ones (RFC 3253, 3648, 4437). It is fed one that it knows in
// their place.
std::string_view unlisted_method(std::string_view bytes) {
  constexpr std::string_view kUnlisted[] = {
      "QUERY",          "VERSION-CONTROL",   "BASELINE-CONTROL", "UPDATE",
      "LABEL",          "ORDERPATCH",        "MKREDIRECTREF",
      "UPDATEREDIRECTREF"};
  constexpr std::size_t kBytesMost = 17;
  const std::size_t space = bytes.substr(0, kBytesMost + 1).find(' ');
  if (space == bytes.npos) return {};
  const std::string_view method = bytes.substr(0, space);
  const bool unlisted = std::find(std::begin(kUnlisted), std::end(kUnlisted),
                                  method) != std::end(kUnlisted);
  return unlisted ? method : std::string_view{};
}

// The parser also reads RTSP and ICE, which share HTTP's syntax.
bool speaks_http(std::string_view bytes) {
  constexpr std::string_view kVersion = "HTTP/1.x";
  const std::string_view line = bytes.substr(0, bytes.find('\r'));
  return line.size() > kVersion.size() &&
         line.substr(line.size() - kVersion.size()).starts_with("HTTP/1.");
}

// One space on each side of the target (RFC 9112 section 3): the parser skips
// more of them, and what another reader makes of the line is not known.
bool has_single_spaces(std::string_view bytes, const RequestHead& head) {
  constexpr std::string_view kRest = "  HTTP/1.x";
  return bytes.find('\r') ==
         head.method.size() + head.target.size() + kRest.size();
}

HeadProblem apply_transfer_encoding(std::string_view value,
                                    RequestHead& head) {
  if (head.framing == BodyFraming::kChunked) {
    return {400, "more than one Transfer-Encoding"};
  }
  if (head.minor_version == 0) {
    return {400, "Transfer-Encoding in an HTTP/1.0 request"};
  }
  int codings = 0;
  bool chunked_last = false;
  for_each_token(value, [&](std::string_view coding) {
    ++codings;
    chunked_last = equals_ignoring_case(coding, "chunked");
  });
  if (!chunked_last) {
    return {400, "Transfer-Encoding does not end in chunked"};
  }
  if (codings != 1) return {501, "unknown transfer coding"};
  head.framing = BodyFraming::kChunked;
  return kGood;
}

// A length goes on as it is meant: without leading zeros, and within what every
// reader's signed 64 bits hold.
HeadProblem apply_content_length(std::string_view& value, RequestHead& head) {
  while (value.size() > 1 && value.front() == '0') value.remove_prefix(1);
  const auto [end, error] = std::from_chars(
      value.data(), value.data() + value.size(), head.content_length);
  if (error != std::errc{} || end != value.data() + value.size()) {
    return {400, "malformed Content-Length"};
  }
  if (head.content_length > std::uint64_t{INT64_MAX}) {
    return {413, "Content-Length is beyond any body"};
  }
  if (head.framing == BodyFraming::kNone && head.content_length > 0) {
    head.framing = BodyFraming::kLength;
  }
  return kGood;
}

struct ConnectionTokens {
  bool close = false;
  bool keep_alive = false;
  bool upgrade = false;
  bool others = false;
};

void apply_connection(std::string_view value, ConnectionTokens& tokens) {
  for_each_token(value, [&](std::string_view token) {
    if (equals_ignoring_case(token, "close")) {
      tokens.close = true;
    } else if (equals_ignoring_case(token, "keep-alive")) {
      tokens.keep_alive = true;
    } else if (equals_ignoring_case(token, "upgrade")) {
      tokens.upgrade = true;
    } else {
      tokens.others = true;
    }
  });
}

HeadProblem apply_field(HeaderField& field, RequestHead& head,
                        ConnectionTokens& tokens) {
  switch (field.rule->id) {
    case Header::kTransferEncoding:
      return apply_transfer_encoding(field.value, head);
    case Header::kContentLength:
      return apply_content_length(field.value, head);
    case Header::kConnection:
      apply_connection(field.value, tokens);
      return kGood;
    case Header::kExpect:
      if (!equals_ignoring_case(field.value, "100-continue")) {
        return {417, "unknown expectation"};
      }
      head.expect_continue = head.minor_version == 1;
      return kGood;
    default:
      return kGood;
  }
}

// A set of name hashes that may claim one that it does not hold, never the
// other way round.
class SeenNames {
 public:
  // True if `hash` may have been there before.
  bool add(std::uint32_t hash) {
    const std::uint32_t bit = hash >> 22;  // one of 1024
    std::uint64_t& word = words_[bit / 64];
    const std::uint64_t mask = std::uint64_t{1} << (bit % 64);
    const bool seen = (word & mask) != 0;
    word |= mask;
    return seen;
  }

 private:
  std::array<std::uint64_t, 16> words_{};
};

HeadProblem apply_fields(RequestHead& head) {
  ConnectionTokens tokens;
  SeenNames names;
  head.names_may_repeat = false;
  unsigned seen = 0;
  for (std::size_t i = 0; i < head.field_count; ++i) {
    HeaderField& field = head.fields[i];
    if (field.name.empty()) return {400, "a header without a name"};
    trim(field.value);
    field.name_hash = hash_name(field.name);
    if (names.add(field.name_hash)) head.names_may_repeat = true;
    field.rule = &rule_of(field.name);
    const unsigned bit = 1U << static_cast<unsigned>(field.rule->id);
    if (field.rule->singleton && (seen & bit) != 0) {
      return {400, "a header that may stand only once is repeated"};
    }
    seen |= bit;
    const HeadProblem problem = apply_field(field, head, tokens);
    if (problem.status != 0) return problem;
  }
  const auto has = [&](Header id) {
    return (seen & 1U << static_cast<unsigned>(id)) != 0;
  };
  if (has(Header::kTransferEncoding) && has(Header::kContentLength)) {
    return {400, "Content-Length beside Transfer-Encoding"};
  }
  if (head.minor_version == 1 && !has(Header::kHost)) {
    return {400, "no Host header"};
  }
  head.keep_alive =
      !tokens.close && (head.minor_version == 1 || tokens.keep_alive);
  head.upgrade = tokens.upgrade && has(Header::kUpgrade);
  head.names_fields = tokens.others;
  return kGood;
}

// "http://authority/path?query" (RFC 9112 section 3.2.2). False: not this form.
bool split_absolute(std::string_view target, RequestHead& head) {
  const std::size_t scheme = target.find("://");
  if (scheme == target.npos) return false;
  const std::string_view name = target.substr(0, scheme);
  if (!equals_ignoring_case(name, "http") &&
      !equals_ignoring_case(name, "https")) {
    return false;
  }
  const std::string_view rest = target.substr(scheme + 3);
  const std::size_t path = rest.find_first_of("/?#");
  head.authority = rest.substr(0, path);
  head.authority.remove_prefix(head.authority.find('@') + 1);  // npos + 1 is 0
  head.uri = path == rest.npos ? std::string_view{} : rest.substr(path);
  return !head.authority.empty();
}

HeadProblem apply_target(RequestHead& head) {
  if (const HeaderField* host = head.find(Header::kHost)) {
    head.authority = host->value;
  }
  const std::string_view target = head.target;
  if (head.method == "CONNECT") return {501, "CONNECT is not served here"};
  if (target.starts_with('/')) {
    head.uri = target;
  } else if (target == "*" &&
             (head.method == "OPTIONS" || head.method == "M-SEARCH")) {
    head.uri = target;
  } else if (!split_absolute(target, head)) {
    return {400, "malformed request target"};
  }
  std::string_view uri = head.uri.substr(0, head.uri.find('#'));
  const std::size_t question = uri.find('?');
  head.path = uri.substr(0, question);
  head.query =
      question == uri.npos ? std::string_view{} : uri.substr(question + 1);
  if (head.path.empty()) head.path = "/";
  if (head.uri.empty()) head.uri = "/";
  return kGood;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = ascii_lower(c);
  if (lower >= 'a' && lower <= 'f') return lower - 'a' + 10;
  return -1;
}

// What a host may be made of besides letters and digits: a registered name's
// unreserved and sub-delims, percent signs (RFC 3986 section 3.2.2).
bool is_host_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
         std::string_view("-._~!$&'()*+,;=%").find(c) != std::string_view::npos;
}

bool is_ipv6_char(char c) {
  return hex_digit(c) >= 0 || c == ':' || c == '.' || c == '%' || c == 'v';
}

// Where the host ends: at the port's colon, which an IPv6 literal's own colons
// are not. SIZE_MAX: malformed.
std::size_t host_end(std::string_view authority) {
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == authority.npos || close < 3) return SIZE_MAX;
    if (!std::all_of(authority.begin() + 1,
                     authority.begin() + static_cast<std::ptrdiff_t>(close),
                     is_ipv6_char)) {
      return SIZE_MAX;
    }
    return close + 1;
  }
  return std::min(authority.find(':'), authority.size());
}

// The host, in its one form where it has one, to the beginning of out.text;
// returns its bytes, 0 where it is none. An IPv6 address is written as in the
// keys of subscriptions.
std::size_t normalise_name(std::string_view name, Host& out) {
  const bool literal = name.starts_with('[');
  if (!literal && name.ends_with('.')) name.remove_suffix(1);
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = ascii_lower(name[i]);
    if (!literal && !is_host_char(c)) return 0;
    out.text[i] = c;
  }
  if (!literal) return name.size();
  static_assert(Host::kBytesMax >= wire::kV6LiteralBytesMax);
  const std::size_t bytes = wire::normalise_v6(
      {out.text.data(), name.size()},
      std::span(out.text).first<wire::kV6LiteralBytesMax>());
  return bytes == 0 ? name.size() : bytes;  // of a kind that nobody announces
}

// 1 to 65535.
bool is_port(std::string_view text) {
  constexpr std::size_t kDigitsMost = 5;
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  return text.size() <= kDigitsMost && error == std::errc{} && stop == end &&
         port != 0;
}

}  // namespace

const HeaderField* RequestHead::find(Header id) const {
  for (std::size_t i = 0; i < field_count; ++i) {
    if (fields[i].rule->id == id) return &fields[i];
  }
  return nullptr;
}

bool RequestHead::is_idempotent() const {
  constexpr std::array<std::string_view, 10> kIdempotent = {
      "GET",    "HEAD",     "PUT",    "DELETE", "OPTIONS",
      "TRACE",  "PROPFIND", "REPORT", "SEARCH", "QUERY"};
  return std::find(kIdempotent.begin(), kIdempotent.end(), method) !=
         kIdempotent.end();
}

bool RequestHead::asks_for_websocket() const {
  return upgrade && minor_version == 1 && method == "GET" &&
         framing == BodyFraming::kNone &&
         equals_ignoring_case(find(Header::kUpgrade)->value, "websocket");
}

bool RequestHead::is_connection_option(std::string_view name) const {
  const auto same = [name](std::string_view token) {
    return std::equal(token.begin(), token.end(), name.begin(), name.end(),
                      [](char a, char b) {
                        return ascii_lower(a) == ascii_lower(b);
                      });
  };
  bool found = false;
  for (std::size_t i = 0; i < field_count && names_fields; ++i) {
    if (fields[i].rule->id != Header::kConnection) continue;
    for_each_token(fields[i].value, [&](std::string_view token) {
      found = found || same(token);
    });
  }
  return found;
}

HeadProblem parse_request_head(std::string_view bytes, RequestHead& head) {
  head.method = head.target = head.uri = head.path = {};
  head.query = head.authority = {};
  head.field_count = 0;
  head.fields[0] = {};
  head.framing = BodyFraming::kNone;
  head.content_length = 0;
  head.expect_continue = head.upgrade = head.names_fields = false;

  Recorder record{&head};
  llhttp_t parser;
  llhttp_init(&parser, HTTP_REQUEST, &settings());
  parser.data = &record;
  const std::string_view unlisted = unlisted_method(bytes);
  if (!unlisted.empty()) llhttp_execute(&parser, "POST", 4);
  const llhttp_errno_t error = llhttp_execute(
      &parser, bytes.data() + unlisted.size(), bytes.size() - unlisted.size());
  if (!unlisted.empty()) head.method = unlisted;
  if (record.too_many) return {431, "too many headers"};
  if (error != HPE_PAUSED) return parse_problem(error, parser, bytes);
  if (parser.http_major != 1 || parser.http_minor > 1 || !speaks_http(bytes)) {
    return {505, "unsupported HTTP version"};
  }
  if (!has_single_spaces(bytes, head)) return {400, "malformed request line"};
  head.minor_version = parser.http_minor;
  const HeadProblem problem = apply_fields(head);
  return problem.status != 0 ? problem : apply_target(head);
}

bool normalise_host(std::string_view authority, Host& out) {
  const std::size_t end = host_end(authority);
  if (end == SIZE_MAX || end == 0 || end > Host::kBytesMax) return false;
  const std::size_t bytes = normalise_name(authority.substr(0, end), out);
  if (bytes == 0) return false;
  out.host_bytes = out.all_bytes = static_cast<std::uint16_t>(bytes);
  const std::string_view port = authority.substr(end);
  if (port.empty() || port == ":") return true;
  if (port[0] != ':' || !is_port(port.substr(1))) return false;
  std::copy(port.begin(), port.end(), out.text.begin() + bytes);
  out.all_bytes = static_cast<std::uint16_t>(bytes + port.size());
  return true;
}

void add_port(Host& host, std::uint16_t port) {
  char* const at = host.text.data() + host.host_bytes;
  char* const end = host.text.data() + host.text.size();
  *at = ':';
  const auto [stop, error] = std::to_chars(at + 1, end, port);
  static_cast<void>(error);  // kBytesMax leaves room for ":65535"
  host.all_bytes = static_cast<std::uint16_t>(stop - host.text.data());
}

std::size_t remove_dot_segments(std::string_view path, char* out) {
  std::size_t written = 0;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/', 1), path.size());
    const std::string_view segment = path.substr(0, end);  // with its slash
    path.remove_prefix(end);
    const bool climbs = segment == "/..";
    if (climbs || segment == "/.") {
      if (climbs) {
        while (written > 0 && out[--written] != '/') {
        }
      }
      if (path.empty()) out[written++] = '/';
      continue;
    }
    std::copy(segment.begin(), segment.end(), out + written);
    written += segment.size();
  }
  return written;
}

std::size_t percent_decode(std::string_view path, char* out) {
  std::size_t written = 0;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      out[written++] = path[i];
      continue;
    }
    if (path.size() - i < 3) return SIZE_MAX;
    const int high = hex_digit(path[i + 1]);
    const int low = hex_digit(path[i + 2]);
    if (high < 0 || low < 0 || (high | low) == 0) return SIZE_MAX;
    out[written++] = static_cast<char>(high << 4 | low);
    i += 2;
  }
  return written;
}

}  // namespace fealty::http
