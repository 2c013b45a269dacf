#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sni/openssl.h"
#include "sni/refusal.h"
#include "sni/secret.h"

namespace fealty::sni {

inline constexpr std::size_t kCertificateBytesMax = 16 * 1024;
inline constexpr std::size_t kChainMax = 8;

// The DER bytes of the CERTIFICATE blocks of a PEM text, in its order; blocks
// of other labels count for nothing.
[[nodiscard]] Result<std::vector<SecretBytes>, Refusal> certificates_in(
    std::string_view pem, std::size_t count_max);

// A certificate of exactly these bytes, or null. In the bare library its public
// key is not read (ec_key.h).
[[nodiscard]] CertificatePtr parse_certificate(
    std::span<const unsigned char> der, OSSL_LIB_CTX* library = nullptr);

// Whether it encodes to exactly these bytes again.
[[nodiscard]] bool encodes_to(const X509* certificate,
                              std::span<const unsigned char> der);

// Seconds since 1970; empty where the time is none.
[[nodiscard]] std::optional<std::int64_t> unix_time_of(const ASN1_TIME* time);

// A root, as many chains have it at their end: nobody relies on its signature.
[[nodiscard]] bool is_self_issued(const X509* certificate);

// Whether it is signed with a digest that can be forged.
[[nodiscard]] bool has_weak_digest(X509* certificate);

}  // namespace fealty::sni
