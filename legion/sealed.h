#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "legion/aead.h"

namespace fealty::legion {

// The wire between Fealty's own members:
//
//   datagram = 109:u8  clear_bytes:u16le  1:u8  nonce[12]  cipher text  tag[16]
//
// AES-256-GCM; the header is authenticated with the text. The key is
// HKDF-SHA256 of the secret with a fixed salt, bound to the Legion's name by
// the info; the nonce is random, which is good for 2^32 packets under one secret
// (thirteen years of ten a second). Who
// has not the secret can neither read nor make nor bend a packet. Repetition is
// refused above it, by sequence numbers (legion/election.h).
//
// Pure but for the nonce; one thread at a time.
class SealedWire {
 public:
  static constexpr std::size_t kNonceBytes = Aead::kNonceBytes;
  static constexpr std::size_t kTagBytes = Aead::kTagBytes;
  static constexpr std::size_t kOverheadBytes = 4 + kNonceBytes + kTagBytes;
  static constexpr std::uint8_t kVersion = 1;      // the header's last byte

  SealedWire(std::string_view secret, std::string_view legion);

  [[nodiscard]] std::string seal(std::string_view clear) const;
  // Empty where the datagram is not exactly of this form and this key.
  [[nodiscard]] std::optional<std::string> open(std::string_view datagram) const;

  // Whether a datagram claims to be of this wire.
  [[nodiscard]] static bool is_sealed(std::string_view datagram);

 private:
  Aead aead_;
};

}  // namespace fealty::legion
