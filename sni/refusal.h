#pragma once

#include <cstdint>
#include <string_view>

namespace fealty::sni {

// Why an identity's material is not served.
enum class Refusal : std::uint8_t {
  kTooLarge,
  kNotPem,
  kNoCertificate,
  kTooManyCertificates,
  kBadCertificate,
  kNoKey,
  kSeveralKeys,
  kBadKey,
  kEncryptedKey,
  kKeyMismatch,
  kExpired,
  kNotYetValid,
  kWeakKey,
  kUnusualKey,
  kWeakDigest,
  kBadClientCa,
  kBadCrl,
  kBadName,
  kRefusedByTls,
  kTooManyOrigins,
  kBrokenChain,
  kChainOutOfDate,
  kNotForServers,
};
inline constexpr int kRefusals = static_cast<int>(Refusal::kNotForServers) + 1;

// What is wrong and what to do, for the log and /explain. No byte of the
// material is in it.
[[nodiscard]] std::string_view text_of(Refusal why);

}  // namespace fealty::sni
