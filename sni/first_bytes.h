#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace fealty::sni {

enum class FirstBytes : std::uint8_t {
  kMore,                 // too few to tell
  kTls,                  // a ClientHello of reasonable size
  kHttp,                 // a request without TLS
  kOversized,            // a ClientHello over kClientHelloBytesMax, or one
                         // whose size the first record does not tell
  kNeither,
};

// Browsers send some 2 KiB with post-quantum key shares. OpenSSL would reserve
// up to 128 KiB a connection for what the client merely announces.
inline constexpr std::size_t kClientHelloBytesMax = 16 * 1024;
// As many tell in any case.
inline constexpr std::size_t kFirstBytesMost = 9;

// What a client that connected to a TLS port began with (it is only looked at:
// MSG_PEEK). A record of type handshake that begins with a ClientHello (RFC
// 8446, sections 4 and 5.1), or the letters of an HTTP method and what follows
// them.
[[nodiscard]] FirstBytes judge_first_bytes(
    std::span<const unsigned char> bytes);

// Of a first byte alone: a record of type handshake, rather than a letter.
[[nodiscard]] constexpr bool begins_like_tls(unsigned char first) {
  return first == 22;
}

}  // namespace fealty::sni
