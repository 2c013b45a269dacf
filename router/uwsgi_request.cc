#include "router/uwsgi_request.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>

#include "base/address.h"
#include "router/request_seal.h"
#include "wire/uwsgi_packet.h"

namespace fealty::router {
namespace {

using http::HeadProblem;

constexpr std::string_view kPrefix = "HTTP_";
constexpr std::string_view kContentLength = "CONTENT_LENGTH";

bool is_token(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || kMarks.find(c) != kMarks.npos;
  });
}

// A path: an authority in it, HTTP nodes would go by instead of by Host.
bool is_target(std::string_view text, std::string_view method) {
  if (text == "*") return method == "OPTIONS";
  return text.starts_with('/') &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return c > ' ' && c != 0x7f && c != '#';
         });
}

// What a path has unescaped (RFC 3986 section 3.3).
bool is_path_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') ||
         std::string_view("-._~!$&'()*+,;=:@/").find(c) !=
             std::string_view::npos;
}

bool is_ip_address(std::string_view text) {
  return !text.empty() && text.find('/') == text.npos && Network::parse(text);
}

bool is_port(std::string_view text) {
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, port);
  return read.ec == std::errc{} && read.ptr == end;
}

bool is_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= 0x20 && byte != 0x7f) || c == '\t';
  });
}

// Headers that nobody's application is to see, or that say what is not so
// (http/header_rules.h: AsVariable::kDropped).
bool is_forgery(std::string_view variable) {
  return variable == "HTTP_PROXY" || variable == "HTTP_X_CLIENT_DN" ||
         variable == "HTTP_TRANSFER_ENCODING";
}

// Reads the pairs one by one.
class Reader {
 public:
  Reader(std::span<char> names, UwsgiRequest& request, http::RequestHead& head)
      : names_(names), request_(request), head_(head) {}

  HeadProblem read(std::string_view data) {
    wire::UwsgiPairReader reader(data);
    wire::UwsgiPair pair;
    using Step = wire::UwsgiPairReader::Step;
    Step step = reader.next(pair);
    for (; step == Step::kPair; step = reader.next(pair)) {
      if (pair.key == RequestSeal::kVariable) {
        request_.sealed = data.substr(0, pair.offset);
        request_.seal = pair.value;
        continue;
      }
      if (pair.key != kContentLength) request_.seal = {};
      if (const HeadProblem problem = take(pair.key, pair.value);
          problem.status != 0) {
        return problem;
      }
    }
    if (step == Step::kMalformed) return {400, "Malformed uwsgi packet."};
    return finish();
  }

 private:
  HeadProblem take(std::string_view key, std::string_view value) {
    if (key.starts_with(kPrefix)) return take_header(key, value);
    struct Slot {
      std::string_view name;
      std::string_view& value;
    };
    const Slot slots[] = {
        {"REQUEST_METHOD", head_.method}, {"REQUEST_URI", uri_},
        {"PATH_INFO", request_.path_info}, {"QUERY_STRING", query_},
        {"SERVER_PROTOCOL", protocol_},   {"SERVER_NAME", name_},
        {"UWSGI_FASTROUTER_KEY", key_},   {kContentLength, length_},
        {"CONTENT_TYPE", type_},          {"REMOTE_ADDR", request_.remote_addr},
        {"REMOTE_PORT", request_.remote_port},
        {"HTTPS", https_},                {"HTTPS_DN", request_.client_subject}};
    for (const Slot& slot : slots) {
      if (key != slot.name) continue;
      // Of two, the node would go by the other one.
      if (slot.value.data() != nullptr) {
        return {400, "A uwsgi variable came twice."};
      }
      slot.value = std::string_view(value.data(), value.size());
    }
    return {};
  }

  HeadProblem take_header(std::string_view key, std::string_view value) {
    const std::string_view name = field_name(key.substr(kPrefix.size()));
    if (!is_token(name) || !is_value(value)) {
      return {400, "A uwsgi variable is no header."};
    }
    const http::HeaderRule& rule = http::rule_of(name);
    if (rule.id == http::Header::kHost) {
      if (host_.data() != nullptr) {
        return {400, "A uwsgi variable came twice."};
      }
      host_ = value;
    }
    if (rule.id == http::Header::kTransferEncoding) coded_ = !value.empty();
    if (rule.id == http::Header::kConnection) head_.names_fields = true;
    // CONTENT_TYPE says it, without the prefix.
    if (rule.id == http::Header::kContentType) return {};
    return add_field(name, rule, value);
  }

  HeadProblem add_field(std::string_view name, const http::HeaderRule& rule,
                        std::string_view value) {
    if (head_.field_count == http::RequestHead::kFieldsMax) {
      return {431, "Too many headers."};
    }
    http::HeaderField& field = head_.fields[head_.field_count++];
    field.name = name;
    field.value = value;
    field.name_hash = http::hash_name(name);
    field.rule = &rule;
    return {};
  }

  // "USER_AGENT" as "user-agent"; empty: there is no room.
  std::string_view field_name(std::string_view variable) {
    if (variable.size() > names_.size()) return {};
    char* const at = names_.data();
    std::transform(variable.begin(), variable.end(), at, [](char c) {
      return c == '_' ? '-' : http::ascii_lower(c);
    });
    names_ = names_.subspan(variable.size());
    return {at, variable.size()};
  }

  HeadProblem finish() {
    if (!is_token(head_.method)) return {400, "Malformed REQUEST_METHOD."};
    if (head_.method == "CONNECT") return {501, "CONNECT is not served here."};
    head_.minor_version = protocol_ == "HTTP/1.0" ? 0 : 1;
    head_.keep_alive = false;
    head_.upgrade = head_.find(http::Header::kUpgrade) != nullptr &&
                    head_.is_connection_option("upgrade");
    if (const HeadProblem problem = read_target(); problem.status != 0) {
      return problem;
    }
    if (!length_.empty()) {
      const char* const end = length_.data() + length_.size();
      const auto read =
          std::from_chars(length_.data(), end, head_.content_length);
      if (read.ec != std::errc{} || read.ptr != end) {
        return {400, "Malformed CONTENT_LENGTH."};
      }
    } else if (coded_) {
      // Where it ends, only the coding says, which no uwsgi node undoes.
      return {411, "A body needs its CONTENT_LENGTH."};
    }
    head_.framing = head_.content_length > 0 || !length_.empty()
                        ? http::BodyFraming::kLength
                        : http::BodyFraming::kNone;
    if (!type_.empty()) {
      if (!is_value(type_)) return {400, "Malformed CONTENT_TYPE."};
      const auto problem =
          add_field("content-type", http::rule_of("content-type"), type_);
      if (problem.status != 0) return problem;
    }
    head_.authority = host_.empty() ? name_ : host_;
    // It becomes the Host of HTTP nodes, also where the key is another.
    http::Host host;
    if (!head_.authority.empty() &&
        !http::normalise_host(head_.authority, host)) {
      return {400, "Malformed HTTP_HOST or SERVER_NAME."};
    }
    request_.key = !key_.empty() ? key_ : head_.authority;
    request_.https = https_ == "on" || https_ == "1";
    if (!is_value(request_.client_subject)) {
      return {400, "Malformed HTTPS_DN."};
    }
    if (!is_ip_address(request_.remote_addr)) request_.remote_addr = {};
    if (!is_port(request_.remote_port)) request_.remote_port = {};
    return {};
  }

  HeadProblem read_target() {
    std::string_view uri = uri_;
    if (uri.empty()) {
      uri = made_uri();
      if (uri.empty()) return {431, "The PATH_INFO is too long."};
    }
    if (!is_target(uri, head_.method)) return {400, "Malformed REQUEST_URI."};
    head_.target = head_.uri = uri;
    const std::size_t mark = uri.find('?');
    head_.path = uri.substr(0, mark);
    head_.query = mark == uri.npos ? std::string_view{} : uri.substr(mark + 1);
    return {};
  }

  // PATH_INFO and QUERY_STRING as a target; "" where there is no room.
  std::string_view made_uri() {
    const std::string_view path =
        request_.path_info.empty() ? "/" : request_.path_info;
    if (3 * path.size() + 1 + query_.size() > names_.size()) return {};
    char* const begin = names_.data();
    char* at = begin;
    for (const char c : path) {
      if (is_path_char(c)) {
        *at++ = c;
        continue;
      }
      constexpr std::string_view kDigits = "0123456789ABCDEF";
      const auto byte = static_cast<unsigned char>(c);
      *at++ = '%';
      *at++ = kDigits[byte >> 4];
      *at++ = kDigits[byte & 15];
    }
    if (!query_.empty()) {
      *at++ = '?';
      at = std::copy(query_.begin(), query_.end(), at);
    }
    const auto bytes = static_cast<std::size_t>(at - begin);
    names_ = names_.subspan(bytes);
    return {begin, bytes};
  }

  std::span<char> names_;
  UwsgiRequest& request_;
  http::RequestHead& head_;
  bool coded_ = false;               // it has a Transfer-Encoding
  std::string_view uri_, query_, protocol_, name_, key_, length_, type_, https_,
      host_;
};

}  // namespace

HeadProblem parse_uwsgi_request(std::string_view data, std::span<char> names,
                                UwsgiRequest& request,
                                http::RequestHead& head) {
  request = {};
  request.data = data;
  head.method = head.target = head.uri = head.path = head.query =
      head.authority = {};
  head.field_count = 0;
  head.expect_continue = head.upgrade = head.names_fields = false;
  head.names_may_repeat = true;  // nobody has looked
  head.content_length = 0;
  return Reader(names, request, head).read(data);
}

bool is_for_trusted(std::string_view variable) {
  if (variable.starts_with("UWSGI_")) {
    return variable != "UWSGI_ROUTER" && variable != "UWSGI_FASTROUTER_KEY";
  }
  constexpr std::string_view kOthers[] = {
      "HTTPS",           "REQUEST_SCHEME", "REMOTE_USER",
      "AUTH_TYPE",       "DOCUMENT_ROOT",  "SCRIPT_FILENAME",
      "PATH_TRANSLATED", "PHP_VALUE",      "PHP_ADMIN_VALUE"};
  return variable.starts_with("HTTPS_") || variable.starts_with("SSL_") ||
         std::find(std::begin(kOthers), std::end(kOthers), variable) !=
             std::end(kOthers);
}

Encoded forward_uwsgi_request(const UwsgiRequest& request,
                              const UwsgiForward& how, std::span<char> out,
                              std::size_t& packet_bytes) {
  constexpr std::string_view kAddr = "REMOTE_ADDR";
  constexpr std::string_view kPort = "REMOTE_PORT";
  const auto stays = [&](std::string_view name) {
    return !is_forgery(name) && name != RequestSeal::kVariable &&
           (how.peer_trusted || !is_for_trusted(name)) &&
           !(how.own_client && (name == kAddr || name == kPort)) &&
           !is_among(how.extra, name);
  };
  wire::UwsgiWriter writer(out);
  wire::UwsgiPairReader reader(request.data);
  wire::UwsgiPair pair;
  while (reader.next(pair) == wire::UwsgiPairReader::Step::kPair) {
    if (stays(pair.key)) writer.add(pair.key, pair.value);
  }
  if (how.own_client) {
    writer.add(kAddr, how.remote_addr);
    writer.add(kPort, how.remote_port);
  }
  if (how.extra != nullptr) {
    for (const auto& [name, value] : *how.extra) writer.add(name, value);
  }
  const auto packet = writer.finish(wire::kModifierRequest, 0);
  if (packet.empty()) return Encoded::kTooLarge;
  packet_bytes = packet.size();
  return Encoded::kOk;
}

}  // namespace fealty::router
