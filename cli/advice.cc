#include "cli/advice.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <utility>

#include "base/log.h"
#include "wire/subscription_key.h"

namespace fealty::cli {
namespace {

constexpr std::size_t kPathBytesMax = 107;

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 128; });
}

bool has_long_label(std::string_view site) {
  while (site.size() > wire::kLabelBytesMax) {
    const std::size_t dot = site.find('.');
    if (std::min(dot, site.size()) > wire::kLabelBytesMax) return true;
    if (dot == site.npos) return false;
    site.remove_prefix(dot + 1);
  }
  return false;
}

// The likeliest reason for a key's being none. The form itself is judged by
// normalise_key alone.
std::string why_no_key(std::string_view text) {
  const std::string_view site = wire::without_mountpoint(text);
  if (text.empty()) return "it is empty";
  if (text.find("://") != text.npos) {
    return "write the domain alone, without http:// or https://";
  }
  if (text.size() > wire::kKeyBytesMax) {
    return "it has " + std::to_string(text.size()) + " bytes; 255 is the most";
  }
  if (!is_ascii(text)) {
    return "international names are announced in punycode (xn--...), which "
           "`idn2 NAME` prints";
  }
  if (site.starts_with("*")) {
    return "for every name below a domain write a dot in front: " +
           std::string(site.substr(1));
  }
  if (has_long_label(site)) {
    return "a part between two dots has more than 63 bytes";
  }
  if (site.starts_with('.') && site.find(':') != site.npos) {
    return "a wildcard takes no port";
  }
  if (site.starts_with('.') && site.size() < text.size()) {
    return "a wildcard takes no path";
  }
  if (site.find("..") != site.npos) return "two dots stand side by side";
  if (text.find_first_of(" \t?#%") != text.npos) {
    return "spaces, ?, # and % have no place in it";
  }
  return "it is none of: domain, .domain, domain:port, domain/path (letters, "
         "digits, - and _ between single dots; ports from 1 to 65535)";
}

Error bad(std::string_view what, std::string_view text, std::string_view why) {
  return Error{"'" + log::printable(text) + "' is no " + std::string(what) +
               ": " + std::string(why)};
}

std::string_view bare_path(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  if (text.starts_with(kUnix)) text.remove_prefix(kUnix.size());
  return text;
}

// Why Address::parse refused it, where more is to be said than it says.
std::optional<std::string> why_no_address(std::string_view text) {
  const std::string_view path = bare_path(text);
  if (path.starts_with('/') && path.size() > kPathBytesMax) {
    return "the path has " + std::to_string(path.size()) +
           " bytes, and a socket's holds 107: choose a shorter folder";
  }
  if (path.find('/') != path.npos && path.find("://") == path.npos &&
      !path.starts_with('/')) {
    return "a path must be absolute: the router does not know this folder";
  }
  if (path.find("://") != path.npos) {
    return "write ip:port, without the scheme";
  }
  const std::size_t colon = path.rfind(':');
  if (colon == path.npos) return std::nullopt;
  const std::string_view host = path.substr(0, colon);
  if (host == "localhost") {
    return "names are never looked up; write 127.0.0.1" +
           std::string(path.substr(colon));
  }
  if (host.find(':') != host.npos && !host.starts_with('[')) {
    return "an IPv6 address stands in brackets: [" + std::string(host) + "]" +
           std::string(path.substr(colon));
  }
  if (host.find_first_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
          == 0) {
    return "names are never looked up; write the numeric address";
  }
  return std::nullopt;
}

constexpr std::array kLoopback = {"127.0.0.0/8", "::1/128"};
constexpr std::array kPrivate = {"10.0.0.0/8", "172.16.0.0/12",
                                 "192.168.0.0/16", "fc00::/7"};

template <std::size_t N>
bool within(const Address& address, const std::array<const char*, N>& networks) {
  return std::any_of(networks.begin(), networks.end(), [&](const char* text) {
    const auto network = Network::parse(text);
    return network && network->contains(address);
  });
}

}  // namespace

Result<std::string> read_key(std::string_view text) {
  std::string key;
  if (text.find('\0') != text.npos || !wire::normalise_key(text, key)) {
    return bad("key", text, why_no_key(text));
  }
  return key;
}

Result<Address> read_address(std::string_view text) {
  auto address = Address::parse(text);
  if (!address) {
    if (const auto why = why_no_address(text)) return bad("address", text, *why);
    return address.error();
  }
  if (address->is_ip() && address->port() == 0) {
    return bad("address", text, "port 0 is nobody's");
  }
  return address;
}

std::optional<std::string> path_problem(std::string_view path) {
  if (path.find('\0') != path.npos) return "it holds a NUL";
  if (!path.starts_with('/')) return "it is not absolute";
  const std::string normal =
      std::filesystem::path(path).lexically_normal().string();
  if (path.size() < 2 || path.ends_with('/') || normal != path) {
    return "routers refuse paths with '..', '.' or empty steps: write " +
           normal;
  }
  return std::nullopt;
}

Result<std::int64_t> read_duration_ms(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::int64_t>, 5> kUnits = {
      {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"", 1000}}};
  constexpr std::uint32_t kMost = 1'000'000;
  std::uint32_t number = 0;
  const auto [stop, error] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit =
      text.substr(static_cast<std::size_t>(stop - text.data()));
  if (error == std::errc{} && number <= kMost) {
    for (const auto& [name, factor] : kUnits) {
      if (unit == name) return std::int64_t{number} * factor;
    }
  }
  return bad("time", text, "write 500ms, 10s, 2m or 1h");
}

bool is_loopback(const Address& address) {
  return within(address, kLoopback);
}

bool is_wildcard(const Address& address) {
  if (address.family() == AF_INET) return address.host() == "0.0.0.0";
  return address.family() == AF_INET6 && address.host() == "::";
}

bool allowed_by_default(const Address& address) {
  return address.is_unix() || is_loopback(address) || is_wildcard(address) ||
         within(address, kPrivate);
}

}  // namespace fealty::cli
