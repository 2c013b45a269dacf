#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "sni/openssl.h"
#include "sni/secret.h"

namespace fealty::sni {

// Curves that a server's key may be on.
enum class Curve : std::uint8_t { kP256, kP384, kP521 };

inline constexpr std::size_t kScalarBytesMax = 66;

// By OpenSSL's number; empty: another curve.
[[nodiscard]] std::optional<Curve> curve_of(int nid);

// The number that is the private key, big-endian and as long as the curve's
// order, of a DER text (PKCS #8 or SEC 1). False where it is no EC key on
// `curve`.
[[nodiscard]] bool parse_scalar(std::span<const unsigned char> der, Curve curve,
                                SecretBytes& scalar);

// An EC key from its number and its point (as certificates have it). Null where
// the point is not on the curve.
//
// This costs 2 us and 2.2 KiB; OpenSSL's own ways to one cost 23 us
// (EVP_PKEY_fromdata) to 560 us (the decoders), which a handshake among many
// identities would notice. Hence the low-level functions, which OpenSSL 3 calls
// deprecated; nothing but this file uses them (docs/decisions/0010).
//
// The key's method is a copy of the standard one: OpenSSL then signs with the
// key as it is, and does not hang a second copy on it that its providers would
// rather have. Any thread.
[[nodiscard]] KeyPtr make_ec_key(Curve curve,
                                 std::span<const unsigned char> scalar,
                                 std::span<const unsigned char> point);

// Whether the point is the number's: one multiplication, 20 us.
[[nodiscard]] bool is_key_pair(const KeyPtr& key);

// A library context that knows no algorithm. Certificates that are parsed in it
// cost a tenth, for their public keys are left as they are.
[[nodiscard]] OSSL_LIB_CTX* bare_library();

}  // namespace fealty::sni
