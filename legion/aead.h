#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace fealty::legion {

// AES-256-GCM under a key that is derived from the Legion's secret (base/hkdf.h).
// Who has not the secret can neither read nor make nor bend what it seals. No
// nonce may come twice under one key. Pure; one thread at a time.
class Aead {
 public:
  static constexpr std::size_t kNonceBytes = 12;
  static constexpr std::size_t kTagBytes = 16;

  // `purpose` makes the key another one for each use of the secret.
  Aead(std::string_view secret, std::string_view purpose);
  ~Aead();
  Aead(const Aead&) = default;
  Aead& operator=(const Aead&) = default;

  // `nonce` has kNonceBytes; `head` stays in clear, and is authenticated. Writes
  // clear.size() + kTagBytes to `out`.
  void seal(const char* nonce, std::string_view head, std::string_view clear,
            char* out) const;
  // False where it was not sealed with this key, nonce and head. Writes
  // sealed.size() - kTagBytes to `out`, which mean nothing then.
  [[nodiscard]] bool open(const char* nonce, std::string_view head,
                          std::string_view sealed, char* out) const;

 private:
  std::array<unsigned char, 32> key_{};
};

}  // namespace fealty::legion
