#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace fealty::wire {

inline constexpr std::size_t kKeyBytesMax = 255;
inline constexpr std::size_t kLabelBytesMax = 63;

// The one form of a subscription key, written to `out`; false where `key` can
// be none. Two keys that mean the same have the same form, so that nobody holds
// another's domain under a second spelling.
//
//   key    = host [":" port] mount* ["/"] | wildcard
//   host   = label ("." label)* ["."] | "[" ipv6 "]"
//   wildcard = "." host, but no address
//   label  = 1 to 63 of letters, digits, "-", "_"
//   port   = 1 to 65535, without leading zeros
//   mount  = "/" 1 or more of visible ASCII without / ? # % \ " < >,
//            neither "." nor ".."
//
// Host in lower case and without its trailing dot, IPv6 as inet_ntop writes it,
// the mountpoint as it came, without a slash at the end. International names
// come as punycode or not at all. A name that both begins and ends with "_" is
// refused: its key file would be an IPv6 address's.
[[nodiscard]] bool normalise_key(std::string_view key, std::string& out);

// "[FC00:0::1]" as inet_ntop writes it, "[fc00::1]", to `out`; returns its bytes,
// 0 where it is no such address. `out` may hold `literal`. No allocation.
inline constexpr std::size_t kV6LiteralBytesMax = 48;
[[nodiscard]] std::size_t normalise_v6(
    std::string_view literal, std::span<char, kV6LiteralBytesMax> out);

// `key` is normalised: without its mountpoint; without that and its port.
[[nodiscard]] std::string_view without_mountpoint(std::string_view key);
[[nodiscard]] std::string_view without_port(std::string_view key);

// The public key's file for a subscription key: `foo.example.com.pem`, with
// every byte outside [A-Za-z0-9.-] as '_' and without the mountpoint; a port's
// is `foo.example.com_8080.pem`. Never a path: no '/' is left.
[[nodiscard]] std::string key_file_name(std::string_view subscription_key);

// Whether the file of this domain would be that of another's port as well:
// `a.b_80` and `a.b:80`. Such a domain has no public key.
[[nodiscard]] bool shares_key_file(std::string_view normalised_key);

}  // namespace fealty::wire
