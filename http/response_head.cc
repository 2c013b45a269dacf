#include "http/response_head.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

namespace fealty::http {
namespace {

// The next line of `text`, without its CRLF or LF; moves `text` past it.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text = end == text.npos ? std::string_view{} : text.substr(end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool clean_value(std::string_view value) {
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7f) return false;
  }
  return true;
}

bool is_name(std::string_view name) {
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '"' || c == '(' || c == ')' ||
        c == ',' || c == '/' || (c >= ':' && c <= '@') ||
        (c >= '[' && c <= ']') || c == '{' || c == '}') {
      return false;
    }
  }
  return !name.empty();
}

std::string_view trimmed(std::string_view value) {
  const std::size_t first = value.find_first_not_of(" \t");
  if (first == value.npos) return {};
  return value.substr(first, value.find_last_not_of(" \t") - first + 1);
}

// "HTTP/1.1 200 OK"; the reason may be missing.
bool parse_status_line(std::string_view line, ResponseHead& head) {
  if (line.size() < 12 || !line.starts_with("HTTP/1.") || line[8] != ' ') {
    return false;
  }
  if (line[7] < '0' || line[7] > '9') return false;
  head.keep_alive = line[7] != '0';
  const auto [end, error] =
      std::from_chars(line.data() + 9, line.data() + 12, head.status);
  if (error != std::errc{} || end != line.data() + 12) return false;
  if (head.status < 100 || head.status > 999) return false;
  if (line.size() > 12 && line[12] != ' ') return false;
  head.reason = line.size() > 13 ? line.substr(13) : std::string_view{};
  return clean_value(head.reason);
}

struct Field {
  std::string_view name;
  std::string_view value;
};

bool split_field(std::string_view line, Field& field) {
  const std::size_t colon = line.find(':');
  if (colon == line.npos) return false;
  field.name = line.substr(0, colon);
  field.value = trimmed(line.substr(colon + 1));
  return is_name(field.name) && clean_value(field.value);
}

struct Framing {
  bool length = false;
  bool chunked = false;
  bool bad = false;
};

void apply_length(std::string_view value, Framing& framing,
                  ResponseHead& head) {
  std::uint64_t bytes = 0;
  const auto [end, error] =
      std::from_chars(value.data(), value.data() + value.size(), bytes);
  const bool number = error == std::errc{} &&
                      end == value.data() + value.size() && !value.empty();
  // The same length twice does no harm; two lengths do.
  if (!number || (framing.length && bytes != head.content_length)) {
    framing.bad = true;
  }
  framing.length = true;
  head.content_length = bytes;
}

void apply_field(const Field& field, Framing& framing, ResponseHead& head) {
  switch (rule_of(field.name).id) {
    case Header::kContentLength:
      apply_length(field.value, framing, head);
      break;
    case Header::kTransferEncoding:
      if (framing.chunked || !equals_ignoring_case(field.value, "chunked")) {
        framing.bad = true;
      }
      framing.chunked = true;
      break;
    case Header::kConnection:
      for_each_token(field.value, [&](std::string_view token) {
        if (equals_ignoring_case(token, "close")) {
          head.keep_alive = false;
          return;
        }
        if (rule_of(token).id != Header::kOther) return;
        if (head.connection_option_count == head.connection_options.size()) {
          framing.bad = true;
          return;
        }
        head.connection_options[head.connection_option_count++] = token;
      });
      break;
    case Header::kUpgrade:
      head.to_websocket = equals_ignoring_case(field.value, "websocket");
      break;
    default:
      break;
  }
}

// Whether the head's own Connection header names `name`.
bool is_connection_option(const ResponseHead& head, std::string_view name) {
  for (std::size_t i = 0; i < head.connection_option_count; ++i) {
    const std::string_view option = head.connection_options[i];
    const bool same =
        option.size() == name.size() &&
        std::equal(option.begin(), option.end(), name.begin(),
                   [](char a, char b) {
                     return ascii_lower(a) == ascii_lower(b);
                   });
    if (same) return true;
  }
  return false;
}

// Appends while there is room.
class Appender {
 public:
  explicit Appender(std::span<char> out) : out_(out) {}
  void add(std::string_view text) {
    if (out_.size() - at_ < text.size()) {
      overflow_ = true;
      return;
    }
    if (text.empty()) return;
    std::memcpy(out_.data() + at_, text.data(), text.size());
    at_ += text.size();
  }
  [[nodiscard]] std::size_t bytes() const { return overflow_ ? 0 : at_; }

 private:
  std::span<char> out_;
  std::size_t at_ = 0;
  bool overflow_ = false;
};

bool forwarded(const ResponseHead& head, const ClientFraming& framing,
               std::string_view name, const HeaderRule& rule) {
  if (rule.hop_by_hop) return false;
  // Beside chunked or an end by closing, a length would be a lie; with 1xx and
  // 204 it has no meaning (RFC 9110 section 8.6).
  if (rule.id == Header::kContentLength &&
      (framing.body != ClientFraming::Body::kAsIs || head.interim() ||
       head.status == 204)) {
    return false;
  }
  return !is_connection_option(head, name);
}

}  // namespace

std::size_t find_head_end(std::string_view bytes) {
  std::size_t at = 0;
  while (true) {
    const void* found =
        std::memchr(bytes.data() + at, '\n', bytes.size() - at);
    if (found == nullptr) return 0;
    at = static_cast<std::size_t>(static_cast<const char*>(found) -
                                  bytes.data()) + 1;
    if (at < bytes.size() && bytes[at] == '\n') return at + 1;
    if (at + 1 < bytes.size() && bytes[at] == '\r' && bytes[at + 1] == '\n') {
      return at + 2;
    }
    if (at == bytes.size()) return 0;
  }
}

bool parse_response_head(std::string_view bytes, bool to_head,
                         ResponseHead& head) {
  head = {};
  std::string_view rest = bytes;
  if (!parse_status_line(take_line(rest), head)) return false;
  const char* const fields_start = rest.data();
  Framing framing;
  for (std::size_t lines = 0;; ++lines) {
    if (lines > kResponseFieldsMax) return false;
    const char* const line_start = rest.data();
    const std::string_view line = take_line(rest);
    if (line.empty()) {
      head.fields = {fields_start,
                     static_cast<std::size_t>(line_start - fields_start)};
      break;
    }
    Field field;
    if (!split_field(line, field)) return false;
    apply_field(field, framing, head);
  }
  if (framing.bad || (framing.length && framing.chunked)) return false;
  head.has_content_length = framing.length;
  const bool bodiless =
      head.interim() || head.status == 204 || head.status == 304;
  if (to_head || bodiless) {
    head.framing = AnswerFraming::kNone;
    const bool announces_body = framing.chunked || head.content_length > 0 ||
                                (!bodiless && !framing.length);
    if (announces_body) head.keep_alive = false;
  } else if (framing.chunked) {
    head.framing = AnswerFraming::kChunked;
  } else if (framing.length) {
    head.framing = AnswerFraming::kLength;
  }
  return true;
}

std::size_t write_response_head(const ResponseHead& head,
                                const ClientFraming& framing,
                                std::span<char> out) {
  Appender text(out);
  char status[4];
  std::to_chars(status, status + sizeof status, head.status);
  text.add("HTTP/1.1 ");
  text.add({status, 3});
  text.add(" ");
  text.add(head.reason);
  text.add("\r\n");
  bool has_length = false;
  std::string_view rest = head.fields;
  while (!rest.empty()) {
    const std::string_view line = take_line(rest);
    const std::string_view name = line.substr(0, line.find(':'));
    const HeaderRule& rule = rule_of(name);
    if (!forwarded(head, framing, name, rule)) continue;
    // A length that is said twice (the same one, or the head is refused) is said
    // once: clients refuse the repetition.
    if (rule.id == Header::kContentLength &&
        std::exchange(has_length, true)) {
      continue;
    }
    text.add(line);
    text.add("\r\n");
  }
  text.add(framing.more_fields);
  if (framing.body == ClientFraming::Body::kChunked) {
    text.add("Transfer-Encoding: chunked\r\n");
  }
  if (framing.to_websocket) {
    text.add("Connection: Upgrade\r\nUpgrade: websocket\r\n");
  }
  if (!head.interim()) {
    if (!framing.keep_alive) {
      text.add("Connection: close\r\n");
    } else if (framing.client_minor_version == 0) {
      text.add("Connection: keep-alive\r\n");
    }
  }
  text.add("\r\n");
  return text.bytes();
}

}  // namespace fealty::http
