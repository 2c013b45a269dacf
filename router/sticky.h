#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace fealty::router {

// The cookie that keeps a client at its node (`algo` sticky). Its value is the
// node's token (subscription::sticky_token) and a SipHash-2-4-128 over it and
// the pool's key, in hex: what a client makes up, or brings from another
// domain, counts as no cookie, and nothing of a node's address is told.
//
// Any thread; no allocation. With a secret of their own making, drawn at the
// start, routers do not know each other's cookies: give the members of a
// Legion the same one.
class StickyCookie {
 public:
  static constexpr std::size_t kSecretBytes = 16;
  using Secret = std::array<unsigned char, kSecretBytes>;

  // `name` is a token (RFC 6265 section 4.1.1).
  StickyCookie(std::string name, const Secret& secret);
  [[nodiscard]] static Secret random_secret();

  // The token that a Cookie header's value holds for `key`; 0: none that is
  // ours. Of several, the first that is genuine counts.
  [[nodiscard]] std::uint64_t read(std::string_view cookies,
                                   std::string_view key) const;

  // "Set-Cookie: ...\r\n" into `out`; returns the bytes, at most
  // kHeaderBytesMax with a name of kNameBytesMax. Without an age: it ends with
  // the browser's session.
  static constexpr std::size_t kNameBytesMax = 64;
  static constexpr std::size_t kHeaderBytesMax = 192;
  [[nodiscard]] std::size_t write(std::uint64_t token, std::string_view key,
                                  bool secure, std::span<char> out) const;

 private:
  static constexpr std::size_t kMacBytes = 16;
  static constexpr std::size_t kValueChars = 2 * (8 + kMacBytes);
  using Value = std::array<char, kValueChars>;

  [[nodiscard]] Value value_of(std::uint64_t token, std::string_view key) const;

  std::string name_;
  Secret secret_;
};

}  // namespace fealty::router
