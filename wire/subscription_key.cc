#include "wire/subscription_key.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstdint>
#include <cstring>

namespace fealty::wire {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_label_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

bool is_label(std::string_view label) {
  if (label.empty() || label.size() > kLabelBytesMax) return false;
  for (const char c : label) {
    if (!is_label_byte(c)) return false;
  }
  return true;
}

// Labels between single dots; one dot may lead.
bool is_domain(std::string_view host) {
  if (host.starts_with('_') && host.ends_with('_')) return false;
  if (host.starts_with('.')) host.remove_prefix(1);
  for (;;) {
    const std::size_t dot = host.find('.');
    if (!is_label(host.substr(0, dot))) return false;
    if (dot == host.npos) return true;
    host.remove_prefix(dot + 1);
  }
}

// 1 to 65535, written the one way there is.
bool is_port(std::string_view text) {
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  return error == std::errc{} && stop == end && text.front() != '0';
}

// "host", ":port": the colon stays with the port, whose absence is "".
void split_port(std::string_view key, std::string_view& host,
                std::string_view& port) {
  const std::size_t bracket = key.rfind(']');
  const std::size_t from = bracket == key.npos ? 0 : bracket;
  const std::size_t colon = key.find(':', from);
  host = key.substr(0, colon);
  port = colon == key.npos ? std::string_view{} : key.substr(colon);
}

bool is_mount_byte(char c) {
  constexpr std::string_view kRefused = "?#%\\\"<>";
  return c > ' ' && c < '\x7f' && kRefused.find(c) == kRefused.npos;
}

bool is_mount_segment(std::string_view segment) {
  if (segment.empty() || segment == "." || segment == "..") return false;
  for (const char c : segment) {
    if (!is_mount_byte(c)) return false;
  }
  return true;
}

// "" or "/a/b"; what ends with a slash has lost it.
bool is_mountpoint(std::string_view mount) {
  while (!mount.empty()) {
    mount.remove_prefix(1);
    const std::string_view segment = mount.substr(0, mount.find('/'));
    if (!is_mount_segment(segment)) return false;
    mount.remove_prefix(segment.size());
  }
  return true;
}

// Everything before the mountpoint.
bool normalise_site(std::string_view site, std::string& out) {
  std::string folded(site);
  for (char& c : folded) c = lower(c);
  std::string_view host;
  std::string_view port;
  split_port(folded, host, port);
  if (!port.empty() && !is_port(port.substr(1))) return false;
  if (host.starts_with('.') && !port.empty()) return false;
  if (host.size() > 1 && host.ends_with('.')) host.remove_suffix(1);
  if (host.starts_with('[')) {
    char literal[kV6LiteralBytesMax];
    const std::size_t bytes = normalise_v6(host, literal);
    if (bytes == 0) return false;
    out.assign(literal, bytes);
  } else {
    if (!is_domain(host)) return false;
    out.assign(host);
  }
  out.append(port);
  return true;
}

}  // namespace

std::size_t normalise_v6(std::string_view literal,
                         std::span<char, kV6LiteralBytesMax> out) {
  static_assert(kV6LiteralBytesMax >= INET6_ADDRSTRLEN + 2);
  char text[INET6_ADDRSTRLEN] = {};
  if (literal.size() < 4 || !literal.starts_with('[') ||
      !literal.ends_with(']')) {
    return 0;
  }
  const std::string_view inside = literal.substr(1, literal.size() - 2);
  if (inside.size() >= sizeof text || inside.find('\0') != inside.npos) return 0;
  std::memcpy(text, inside.data(), inside.size());
  in6_addr address{};
  if (inet_pton(AF_INET6, text, &address) != 1) return 0;
  if (inet_ntop(AF_INET6, &address, text, sizeof text) == nullptr) return 0;
  const std::size_t bytes = std::strlen(text);
  out[0] = '[';
  std::memcpy(out.data() + 1, text, bytes);
  out[bytes + 1] = ']';
  return bytes + 2;
}

bool normalise_key(std::string_view key, std::string& out) {
  if (key.empty() || key.size() > kKeyBytesMax) return false;
  const std::string_view site = without_mountpoint(key);
  std::string_view mount = key.substr(site.size());
  if (mount.ends_with('/')) mount.remove_suffix(1);
  if (site.starts_with('.') && !mount.empty()) return false;
  if (!is_mountpoint(mount) || !normalise_site(site, out)) return false;
  out.append(mount);
  return out.size() <= kKeyBytesMax;
}

std::string_view without_mountpoint(std::string_view key) {
  return key.substr(0, key.find('/'));
}

std::string_view without_port(std::string_view key) {
  std::string_view host;
  std::string_view port;
  split_port(without_mountpoint(key), host, port);
  return host;
}

std::string key_file_name(std::string_view subscription_key) {
  std::string name(without_mountpoint(subscription_key));
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       (c >= '0' && c <= '9') || c == '.' || c == '-';
    if (!plain) c = '_';
  }
  return name + ".pem";
}

bool shares_key_file(std::string_view normalised_key) {
  const std::string_view site = without_mountpoint(normalised_key);
  const std::size_t at = site.rfind('_');
  if (at == 0 || at == site.npos || site.starts_with('.')) return false;
  if (site.find(':') != site.npos) return false;
  const std::string_view tail = site.substr(at + 1);
  return !tail.empty() && is_port(tail);
}

}  // namespace fealty::wire
