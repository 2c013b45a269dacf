#include "router/node_uwsgi.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/check.h"
#include "wire/uwsgi_packet.h"

namespace fealty::router {
namespace {

using http::AsVariable;
using http::Header;
using http::HeaderField;
using http::RequestHead;
using wire::UwsgiWriter;

constexpr std::string_view kContentLength = "CONTENT_LENGTH";
// The pair with 20 digits.
constexpr std::size_t kContentLengthPairBytes = 4 + kContentLength.size() + 20;

// Upper case and '-' to '_', as a variable's name.
constexpr auto kVariableChar = [] {
  std::array<char, 256> table{};
  for (std::size_t i = 0; i < table.size(); ++i) {
    const char c = static_cast<char>(i);
    table[i] = c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A'))
               : c == '-'           ? '_'
                                    : c;
  }
  return table;
}();

bool same_name(const HeaderField& a, const HeaderField& b) {
  if (a.name_hash != b.name_hash || a.name.size() != b.name.size()) {
    return false;
  }
  for (std::size_t i = 0; i < a.name.size(); ++i) {
    if (http::ascii_lower(a.name[i]) != http::ascii_lower(b.name[i])) {
      return false;
    }
  }
  return true;
}

// A name with '_' would become the same variable as one with '-'.
bool travels(const HeaderField& field) {
  return field.rule->as_variable != AsVariable::kDropped &&
         field.name.find('_') == std::string_view::npos;
}

bool first_of_its_name(const RequestHead& head, std::size_t index) {
  if (!head.names_may_repeat) return true;
  for (std::size_t i = 0; i < index; ++i) {
    if (same_name(head.fields[i], head.fields[index])) return false;
  }
  return true;
}

// The values of every field of one name, joined.
class JoinedValue {
 public:
  JoinedValue(const RequestHead& head, std::size_t first)
      : head_(head), first_(first),
        separator_(head.fields[first].rule->id == Header::kCookie ? "; "
                                                                   : ", ") {
    bytes_ = value(first).size();
    if (!head.names_may_repeat) return;
    for (std::size_t i = first + 1; i < head.field_count; ++i) {
      if (!same_name(head.fields[i], head.fields[first])) continue;
      bytes_ += separator_.size() + value(i).size();
      single_ = false;
    }
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  void write(char* out) const {
    out = copy(out, value(first_));
    if (single_) return;
    for (std::size_t i = first_ + 1; i < head_.field_count; ++i) {
      if (!same_name(head_.fields[i], head_.fields[first_])) continue;
      out = copy(copy(out, separator_), value(i));
    }
  }

 private:
  static char* copy(char* out, std::string_view text) {
    if (!text.empty()) std::memcpy(out, text.data(), text.size());
    return out + text.size();
  }
  // The target's authority stands above the Host header (RFC 9112 3.2.2).
  [[nodiscard]] std::string_view value(std::size_t index) const {
    const HeaderField& field = head_.fields[index];
    return field.rule->id == Header::kHost ? head_.authority : field.value;
  }

  const RequestHead& head_;
  std::size_t first_;
  std::string_view separator_;
  std::size_t bytes_ = 0;
  bool single_ = true;
};

void add_header(UwsgiWriter& packet, const RequestHead& head,
                std::size_t index) {
  constexpr std::string_view kPrefix = "HTTP_";
  constexpr std::size_t kNameBytesMax = 1024;
  const HeaderField& field = head.fields[index];
  std::array<char, kPrefix.size() + kNameBytesMax> name;
  if (field.name.size() > kNameBytesMax) {
    packet.refuse();
    return;
  }
  std::size_t name_bytes = 0;
  if (field.rule->as_variable == AsVariable::kPrefixed) {
    std::memcpy(name.data(), kPrefix.data(), kPrefix.size());
    name_bytes = kPrefix.size();
  }
  for (const char c : field.name) {
    name[name_bytes++] = kVariableChar[static_cast<unsigned char>(c)];
  }
  const JoinedValue value(head, index);
  char* const at = packet.begin_pair({name.data(), name_bytes}, value.bytes());
  if (at != nullptr) value.write(at);
}

void add_uri(UwsgiWriter& packet, std::string_view uri) {
  if (!uri.starts_with('?')) {
    packet.add("REQUEST_URI", uri);
    return;
  }
  char* const at = packet.begin_pair("REQUEST_URI", uri.size() + 1);
  if (at == nullptr) return;
  *at = '/';
  std::memcpy(at + 1, uri.data(), uri.size());
}

// False where the path's escapes are broken. As uWSGI's router does, dot
// segments go before the escapes are undone, once: "%2e" makes none.
bool add_path(UwsgiWriter& packet, std::string_view path) {
  const bool dots = path.find("/.") != path.npos;
  if (!dots && path.find('%') == path.npos) {
    packet.add("PATH_INFO", path);
    return true;
  }
  char* const at = packet.begin_pair("PATH_INFO", path.size());
  if (at == nullptr) return true;  // finish() will say so
  std::string_view plain = path;
  if (dots) plain = {at, http::remove_dot_segments(path, at)};
  const std::size_t bytes = http::percent_decode(plain, at);
  if (bytes == SIZE_MAX) return false;
  packet.shrink_last(at, path.size(), bytes);
  return true;
}

// Nothing of these comes from the client's headers: those begin with HTTP_.
void add_tls(UwsgiWriter& packet, const ConnectionVariables& connection) {
  packet.add("HTTPS", "on");
  const auto add = [&](std::string_view name, std::string_view value) {
    if (!value.empty()) packet.add(name, value);
  };
  add("HTTPS_DN", connection.client_subject);
  add("HTTPS_CC", connection.client_pem);
  add("HTTPS_CLIENT_CERTIFICATE", connection.client_der);
}

}  // namespace

Encoded encode_uwsgi_request(const RequestHead& head, const http::Host& host,
                             const ConnectionVariables& connection,
                             std::span<char> out, std::size_t& packet_bytes) {
  const bool chunked = head.framing == http::BodyFraming::kChunked;
  const std::size_t limit = std::min(out.size(), wire::kUwsgiPacketBytesMax);
  if (limit < kContentLengthPairBytes) return Encoded::kTooLarge;
  UwsgiWriter packet(
      out.first(chunked ? limit - kContentLengthPairBytes : limit));
  packet.add("REQUEST_METHOD", head.method);
  add_uri(packet, head.uri);
  if (!add_path(packet, head.path)) return Encoded::kBadPath;
  packet.add("QUERY_STRING", head.query);
  packet.add("SERVER_PROTOCOL", head.protocol());
  packet.add("SCRIPT_NAME", {});
  packet.add("SERVER_NAME", host.host());
  packet.add("SERVER_PORT", connection.server_port);
  packet.add("UWSGI_ROUTER", "http");
  packet.add("REMOTE_ADDR", connection.remote_addr);
  packet.add("REMOTE_PORT", connection.remote_port);
  if (connection.https) add_tls(packet, connection);
  for (std::size_t i = 0; i < head.field_count; ++i) {
    if (travels(head.fields[i]) && first_of_its_name(head, i)) {
      add_header(packet, head, i);
    }
  }
  // The absolute form names the host by itself.
  if (head.find(Header::kHost) == nullptr && !head.authority.empty()) {
    packet.add("HTTP_HOST", head.authority);
  }
  if (connection.extra != nullptr) {
    for (const auto& [name, value] : *connection.extra) packet.add(name, value);
  }
  const std::span<char> whole = packet.finish(wire::kModifierRequest, 0);
  packet_bytes = whole.size();
  return whole.empty() ? Encoded::kTooLarge : Encoded::kOk;
}

void set_modifiers(char* packet, std::uint8_t modifier1,
                   std::uint8_t modifier2) {
  packet[0] = static_cast<char>(modifier1);
  packet[3] = static_cast<char>(modifier2);
}

std::size_t append_content_length(std::span<char> out,
                                  std::size_t packet_bytes,
                                  std::uint64_t length) {
  std::array<char, 20> digits;
  const auto [end, error] =
      std::to_chars(digits.data(), digits.data() + digits.size(), length);
  FEALTY_CHECK(error == std::errc{});
  const std::string_view value(
      digits.data(), static_cast<std::size_t>(end - digits.data()));
  FEALTY_CHECK(out.size() - packet_bytes >=
               4 + kContentLength.size() + value.size());
  return wire::append_pair(out, packet_bytes, kContentLength, value);
}

}  // namespace fealty::router
