#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/request_head.h"

namespace fealty::router {

inline constexpr char kStickyCookie[] = "fealty_node";

// The cookie that keeps a client at its node (`algo` sticky). Its value is the
// node's token (subscription::sticky_token) and a SipHash-2-4-128 over it and
// the pool's key, in hex: what a client makes up, or brings from another
// domain, counts as no cookie, and nothing of a node's address is told.
//
// Nodes see it as they see any cookie: to them, too, it is good for nothing but
// their own domain.
//
// Any thread; no allocation. With a secret of their own making, drawn at the
// start, routers do not know each other's cookies: give the members of a
// Legion the same file.
class StickyCookie {
 public:
  static constexpr std::size_t kSecretBytes = 16;
  using Secret = std::array<unsigned char, kSecretBytes>;

  // `name` is a token (RFC 6265 section 4.1.1).
  StickyCookie(std::string name, const Secret& secret);
  [[nodiscard]] static Secret random_secret();
  // What the file holds (16 bytes to 4 KiB, whatever they are), condensed. A
  // file that is not there is made, for its owner only.
  [[nodiscard]] static Result<Secret> load_secret(const std::string& path);

  [[nodiscard]] const Secret& secret() const { return secret_; }

  // The token that a Cookie header's value holds for `key`; 0: none that is
  // ours. Of several, the first that is genuine counts.
  [[nodiscard]] std::uint64_t read(std::string_view cookies,
                                   std::string_view key) const;
  // The same of all Cookie headers of a request.
  [[nodiscard]] std::uint64_t read(const http::RequestHead& head,
                                   std::string_view key) const;

  // "Set-Cookie: ...\r\n" into `out`; returns the bytes, at most
  // kHeaderBytesMax with a name of kNameBytesMax. Without an age: it ends with
  // the browser's session. For the path that the key is mounted at: so the
  // cookies of several pools of one host do not overwrite each other, and a
  // client sends the one of the longest path first (RFC 6265 section 5.4).
  static constexpr std::size_t kNameBytesMax = 64;
  static constexpr std::size_t kHeaderBytesMax = 448;
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
