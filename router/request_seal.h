#pragma once

#include <openssl/sha.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace fealty::router {

// What one router of a cluster tells another's fastrouter about a client (its
// address, TLS, its certificate) counts because the last pair of the uwsgi packet is
//
//   FEALTY_SEAL = UNIX ":" MAC      12 decimal digits; 32 hexadecimal ones
//
// MAC: the first half of HMAC-SHA-256 over UNIX ":" and all pairs before this one,
// CONTENT_LENGTH among them. Its key is derived of the cluster's secret
// (base/hkdf.h). An address alone does not tell a router from a customer's
// application on the same host. Whoever gets a sealed packet to see can send its
// head again within kTolerance_s, with another body of the same length; no other
// head.
//
// Plain values; no allocation. Any thread.
class RequestSeal {
 public:
  static constexpr std::string_view kVariable = "FEALTY_SEAL";
  static constexpr std::size_t kKeyBytes = 32;
  static constexpr std::int64_t kTolerance_s = 60;   // of the stamp, both ways
  static constexpr std::size_t kStampDigits = 12;
  static constexpr std::size_t kMacDigits = 32;
  static constexpr std::size_t kValueBytes = kStampDigits + 1 + kMacDigits;
  static constexpr std::size_t kPairBytes = 4 + kVariable.size() + kValueBytes;
  // What the key is for, among those of one secret.
  static constexpr std::string_view kPurpose = "requests hmac-sha256 1";

  enum class Finding : std::uint8_t { kGood, kAbsent, kBad, kStale };
  static constexpr std::size_t kFindings = 4;
  [[nodiscard]] static std::string_view to_string(Finding finding);

  explicit RequestSeal(std::span<const unsigned char, kKeyBytes> key);
  // Of a key's bytes; none where there are none.
  [[nodiscard]] static std::optional<RequestSeal> with(std::string_view key);
  ~RequestSeal();
  RequestSeal(const RequestSeal&) = default;
  RequestSeal& operator=(const RequestSeal&) = default;

  // Writes the pair behind the first `head_bytes` of an encoded packet, header and
  // pairs, for which there are kPairBytes of room, and sets the packet's length.
  void write(char* packet, std::size_t head_bytes, std::int64_t unix_s) const;
  // `value`: of the variable; `sealed`: the pairs before it.
  [[nodiscard]] Finding judge(std::string_view value, std::string_view sealed,
                              std::int64_t unix_s) const;

 private:
  void write_mac(std::string_view stamp, std::string_view sealed,
                 char* digits) const;

  SHA256_CTX inner_{};             // of HMAC, with the key's block behind it
  SHA256_CTX outer_{};
};

}  // namespace fealty::router
