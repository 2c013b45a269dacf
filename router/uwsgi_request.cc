#include "router/uwsgi_request.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "wire/uwsgi_packet.h"

namespace fealty::router {
namespace {

using http::HeadProblem;

constexpr std::string_view kPrefix = "HTTP_";

bool is_token(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || kMarks.find(c) != kMarks.npos;
  });
}

bool is_target(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c != 0x7f && c != '#';
  });
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
        {"PATH_INFO", path_},             {"QUERY_STRING", query_},
        {"SERVER_PROTOCOL", protocol_},   {"SERVER_NAME", name_},
        {"UWSGI_FASTROUTER_KEY", key_},   {"CONTENT_LENGTH", length_},
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
    head_.minor_version = protocol_ == "HTTP/1.0" ? 0 : 1;
    head_.keep_alive = false;
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
    request_.key = !key_.empty() ? key_ : head_.authority;
    request_.https = https_ == "on" || https_ == "1";
    if (!is_value(request_.client_subject)) {
      return {400, "Malformed HTTPS_DN."};
    }
    return {};
  }

  HeadProblem read_target() {
    std::string_view uri = uri_;
    if (uri.empty()) uri = path_.empty() ? std::string_view("/") : path_;
    if (!is_target(uri)) return {400, "Malformed REQUEST_URI."};
    head_.target = head_.uri = uri;
    const std::size_t mark = uri.find('?');
    head_.path = uri.substr(0, mark);
    head_.query = mark == uri.npos ? std::string_view{} : uri.substr(mark + 1);
    return {};
  }

  std::span<char> names_;
  UwsgiRequest& request_;
  http::RequestHead& head_;
  std::string_view uri_, path_, query_, protocol_, name_, key_, length_, type_,
      https_, host_;
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
  head.names_may_repeat = head.expect_continue = head.upgrade =
      head.names_fields = false;
  head.content_length = 0;
  return Reader(names, request, head).read(data);
}

bool speaks_of_tls(std::string_view variable) {
  return variable == "HTTPS" || variable.starts_with("HTTPS_");
}

Encoded forward_uwsgi_request(const UwsgiRequest& request, bool believes_tls,
                              const ExtraVariables& extra, std::span<char> out,
                              std::size_t& packet_bytes) {
  wire::UwsgiWriter writer(out);
  wire::UwsgiPairReader reader(request.data);
  wire::UwsgiPair pair;
  while (reader.next(pair) == wire::UwsgiPairReader::Step::kPair) {
    if (is_forgery(pair.key)) continue;
    if (believes_tls || !speaks_of_tls(pair.key)) {
      writer.add(pair.key, pair.value);
    }
  }
  for (const auto& [name, value] : extra) writer.add(name, value);
  const auto packet = writer.finish(wire::kModifierRequest, 0);
  if (packet.empty()) return Encoded::kTooLarge;
  packet_bytes = packet.size();
  return Encoded::kOk;
}

}  // namespace fealty::router
