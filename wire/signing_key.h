#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

struct evp_pkey_st;

namespace fealty::wire {

enum class Digest { kSha1, kSha256, kSha512 };

// "SHA1", "sha256", ...; empty where it names none of the protocol's.
[[nodiscard]] std::optional<Digest> parse_digest(std::string_view name);
[[nodiscard]] std::string_view to_string(Digest digest);

// A private key that signs announcements: RSA (PKCS#1 v1.5), ECDSA over a named
// curve, Ed25519 or Ed448 (which bring their own digest). What a router would
// not take as a public key is refused here already, and says why.
//
// Pure: from PEM text, never asking a terminal for a passphrase. Immutable; one
// thread at a time. Signing costs about 0.7 ms with RSA-2048.
class SigningKey {
 public:
  // A router refuses larger ones: each check would take long.
  static constexpr int kRsaBitsMax = 8192;
  static constexpr int kExponentBitsMax = 64;

  [[nodiscard]] static Result<SigningKey> parse(std::string_view pem,
                                                Digest digest);

  [[nodiscard]] Result<std::string> sign(std::string_view bytes) const;
  // "RSA-2048", "EC prime256v1", "ED25519".
  [[nodiscard]] std::string description() const;
  // The public half in PEM, as a router's key directory holds it.
  [[nodiscard]] std::string public_pem() const;

 private:
  struct Free {
    void operator()(evp_pkey_st* key) const;
  };
  using Key = std::unique_ptr<evp_pkey_st, Free>;

  SigningKey(Key key, Digest digest) : key_(std::move(key)), digest_(digest) {}

  Key key_;
  Digest digest_;
};

}  // namespace fealty::wire
