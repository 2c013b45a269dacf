#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fealty::http {

// What a header means to a gateway, written once for every node protocol.
// Names compare without case (RFC 9110 section 5.1).

enum class Header : std::uint8_t {
  kOther,
  kConnection,
  kContentLength,
  kContentType,
  kCookie,
  kExpect,
  kForwarded,
  kFrontEndHttps,
  kHost,
  kKeepAlive,
  kProxy,
  kProxyConnection,
  kTe,
  kTrailer,
  kTransferEncoding,
  kUpgrade,
  kXClientDn,
  kXForwardedFor,
  kXForwardedHost,
  kXForwardedProto,
  kXForwardedProtocol,
  kXForwardedScheme,
  kXForwardedSsl,
  kXScheme,
  kXSslClient,
  kXUrlScheme,
};

// How a request header travels to a node that takes variables (uwsgi, FastCGI,
// SCGI).
enum class AsVariable : std::uint8_t {
  kPrefixed,   // HTTP_NAME
  kBare,       // NAME: CONTENT_LENGTH and CONTENT_TYPE
  kDropped,    // a forgery, or framing that the router has undone
};

// How a request header travels to a node that takes HTTP.
enum class AsField : std::uint8_t {
  kCopied,     // as it came
  kWritten,    // the router writes its own in its place, or none
};

struct HeaderRule {
  std::string_view name;        // lower case
  Header id;
  AsVariable as_variable;
  AsField as_field;
  // Meant for one connection only (RFC 9110 section 7.6.1): never forwarded to
  // an HTTP node, nor from any node to a client.
  bool hop_by_hop;
  // More than one in a request is refused: recipients would disagree.
  bool singleton;
};

// Sorted by length, then by name.
inline constexpr std::array kHeaderRules = {
    HeaderRule{"te", Header::kTe, AsVariable::kPrefixed, AsField::kWritten,
               true, false},
    HeaderRule{"host", Header::kHost, AsVariable::kPrefixed, AsField::kWritten,
               false, true},
    // A client's Proxy header would become HTTP_PROXY, which libraries take
    // for configuration (httpoxy, CVE-2016-5385): behind an HTTP node that
    // speaks CGI too.
    HeaderRule{"proxy", Header::kProxy, AsVariable::kDropped, AsField::kWritten,
               false, false},
    HeaderRule{"cookie", Header::kCookie, AsVariable::kPrefixed,
               AsField::kCopied, false, false},
    // 100 is the router's to say.
    HeaderRule{"expect", Header::kExpect, AsVariable::kPrefixed,
               AsField::kWritten, false, false},
    HeaderRule{"trailer", Header::kTrailer, AsVariable::kPrefixed,
               AsField::kWritten, true, false},
    HeaderRule{"upgrade", Header::kUpgrade, AsVariable::kPrefixed,
               AsField::kWritten, true, false},
    HeaderRule{"x-scheme", Header::kXScheme, AsVariable::kDropped,
               AsField::kWritten, false, false},
    HeaderRule{"forwarded", Header::kForwarded, AsVariable::kDropped,
               AsField::kWritten, false, false},
    HeaderRule{"connection", Header::kConnection, AsVariable::kPrefixed,
               AsField::kWritten, true, false},
    HeaderRule{"keep-alive", Header::kKeepAlive, AsVariable::kPrefixed,
               AsField::kWritten, true, false},
    // Who the client is, only the router says.
    HeaderRule{"x-client-dn", Header::kXClientDn, AsVariable::kDropped,
               AsField::kWritten, false, false},
    HeaderRule{"content-type", Header::kContentType, AsVariable::kBare,
               AsField::kCopied, false, true},
    HeaderRule{"x-url-scheme", Header::kXUrlScheme, AsVariable::kDropped,
               AsField::kWritten, false, false},
    HeaderRule{"content-length", Header::kContentLength, AsVariable::kBare,
               AsField::kWritten, false, true},
    // These would make an application take plain HTTP for HTTPS (uWSGI sets its
    // url_scheme by them, libraries their cookies).
    HeaderRule{"front-end-https", Header::kFrontEndHttps, AsVariable::kDropped,
               AsField::kWritten, false, false},
    HeaderRule{"x-forwarded-for", Header::kXForwardedFor, AsVariable::kPrefixed,
               AsField::kWritten, false, false},
    HeaderRule{"x-forwarded-ssl", Header::kXForwardedSsl, AsVariable::kDropped,
               AsField::kWritten, false, false},
    HeaderRule{"proxy-connection", Header::kProxyConnection,
               AsVariable::kPrefixed, AsField::kWritten, true, false},
    HeaderRule{"x-forwarded-host", Header::kXForwardedHost,
               AsVariable::kPrefixed, AsField::kWritten, false, false},
    // The body reaches the node unchunked, or chunked anew.
    HeaderRule{"transfer-encoding", Header::kTransferEncoding,
               AsVariable::kDropped, AsField::kWritten, true, false},
    // uwsgi nodes are told by HTTPS.
    HeaderRule{"x-forwarded-proto", Header::kXForwardedProto,
               AsVariable::kDropped, AsField::kWritten, false, false},
    // As are those above, other spellings of it (Gunicorn believes them).
    HeaderRule{"x-forwarded-scheme", Header::kXForwardedScheme,
               AsVariable::kDropped, AsField::kWritten, false, false},
    HeaderRule{"x-forwarded-protocol", Header::kXForwardedProtocol,
               AsVariable::kDropped, AsField::kWritten, false, false},
};

// x-ssl-client-verify, x-ssl-client-s-dn and so on: other proxies' words for what
// X-Client-DN and HTTPS_DN say.
inline constexpr std::string_view kClientHearsay = "x-ssl-client-";
inline constexpr HeaderRule kClientHearsayRule = {
    kClientHearsay, Header::kXSslClient, AsVariable::kDropped,
    AsField::kWritten, false, false};

inline constexpr HeaderRule kOtherHeader = {"", Header::kOther,
                                            AsVariable::kPrefixed,
                                            AsField::kCopied, false, false};

[[nodiscard]] constexpr char ascii_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

[[nodiscard]] constexpr bool equals_ignoring_case(std::string_view text,
                                                  std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (ascii_lower(text[i]) != lower[i]) return false;
  }
  return true;
}

namespace detail {
inline constexpr std::size_t kLongestRule = kHeaderRules.back().name.size();

// kFirstOfLength[n] is the first rule whose name has n bytes or more.
inline constexpr auto kFirstOfLength = [] {
  std::array<std::uint8_t, kLongestRule + 2> first{};
  for (std::size_t length = 0; length < first.size(); ++length) {
    std::uint8_t at = 0;
    while (at < kHeaderRules.size() && kHeaderRules[at].name.size() < length) {
      ++at;
    }
    first[length] = at;
  }
  return first;
}();
}  // namespace detail

// The rule of a header; kOtherHeader where none is written.
[[nodiscard]] inline const HeaderRule& rule_of(std::string_view name) {
  if (name.size() > kClientHearsay.size() && name[1] == '-' &&
      equals_ignoring_case(name.substr(0, kClientHearsay.size()),
                           kClientHearsay)) {
    return kClientHearsayRule;
  }
  if (name.size() > detail::kLongestRule) return kOtherHeader;
  const std::size_t end = detail::kFirstOfLength[name.size() + 1];
  for (std::size_t i = detail::kFirstOfLength[name.size()]; i < end; ++i) {
    if (equals_ignoring_case(name, kHeaderRules[i].name)) {
      return kHeaderRules[i];
    }
  }
  return kOtherHeader;
}

// Calls `visit` with each element of a comma-separated list, trimmed, empty
// ones left out (RFC 9110 section 5.6.1).
template <typename Visit>
void for_each_token(std::string_view list, Visit visit) {
  constexpr std::string_view kBlank = " \t";
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    std::string_view token = list.substr(0, comma);
    list = comma == list.npos ? std::string_view{} : list.substr(comma + 1);
    const std::size_t first = token.find_first_not_of(kBlank);
    if (first == token.npos) continue;
    token = token.substr(first, token.find_last_not_of(kBlank) - first + 1);
    visit(token);
  }
}

}  // namespace fealty::http
