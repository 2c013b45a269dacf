#include "cli/client/api_url.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>

#include "cli/client/visible.h"

namespace fealty::cli {
namespace {

constexpr std::string_view kHttps = "https://";
constexpr std::string_view kHttp = "http://";
constexpr std::string_view kLetters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";
constexpr std::string_view kOfPaths = "/~%+@:";

bool is_v6(const std::string& text) {
  in6_addr ignored{};
  return ::inet_pton(AF_INET6, text.c_str(), &ignored) == 1;
}

bool is_path(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return kLetters.find(c) != kLetters.npos ||
           kOfPaths.find(c) != kOfPaths.npos;
  });
}

bool read_port(std::string_view text, int& port) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  return error == std::errc{} && stop == end && port >= 1 && port <= 65'535;
}

// host, host:port or [v6]:port.
bool read_authority(std::string_view text, ApiUrl& out) {
  std::string_view rest;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == text.npos) return false;
    out.host = text.substr(1, close - 1);
    rest = text.substr(close + 1);
    if (!is_v6(out.host)) return false;
  } else {
    const std::size_t colon = std::min(text.find(':'), text.size());
    out.host = text.substr(0, colon);
    rest = text.substr(colon);
    if (out.host.empty() ||
        out.host.find_first_not_of(kLetters) != std::string::npos) {
      return false;
    }
  }
  if (rest.empty()) return true;
  return rest.starts_with(':') && read_port(rest.substr(1), out.port);
}

}  // namespace

std::string ApiUrl::origin() const {
  const bool brackets = host.find(':') != std::string::npos;
  return std::string(tls ? kHttps : kHttp) +
         (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool ApiUrl::is_loopback() const {
  in_addr address{};
  if (::inet_pton(AF_INET, host.c_str(), &address) == 1) {
    return ntohl(address.s_addr) >> 24 == 127;
  }
  return host == "::1" || host == "localhost";
}

Result<ApiUrl> read_api_url(std::string_view text) {
  const Error broken{visible(text.substr(0, 256)) +
                     " is no address of an API; it looks like "
                     "https://api.example.com/api"};
  ApiUrl url;
  std::string_view rest = text;
  if (rest.starts_with(kHttps)) {
    rest.remove_prefix(kHttps.size());
  } else if (rest.starts_with(kHttp)) {
    rest.remove_prefix(kHttp.size());
    url.tls = false;
    url.port = 80;
  } else if (rest.find("://") != rest.npos) {
    return broken;
  }
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  const std::string_view authority = rest.substr(0, slash);
  if (authority.find('@') != authority.npos) {
    return Error{"no user and no password in a URL, where others can read them: "
                 "--user NAME, and the password is asked for"};
  }
  std::string_view path = rest.substr(slash);
  while (path.ends_with('/')) path.remove_suffix(1);
  if (!read_authority(authority, url) || !is_path(path)) return broken;
  if (!path.empty()) url.base = path;
  return url;
}

}  // namespace fealty::cli
