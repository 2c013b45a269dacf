#pragma once

#include <openssl/sha.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace fealty::router {

// What one router of a cluster tells another's fastrouter about a client (its
// address, TLS, its certificate) counts because the uwsgi packet ends with
//
//   FEALTY_SEAL = UNIX ":" MAC      decimal; 32 hexadecimal digits
//
// MAC: the first half of HMAC-SHA-256 over UNIX ":" and all pairs before this one.
// Its key is derived of the cluster's secret (base/hkdf.h). An address alone does
// not tell a router from a customer's application on the same host. Whoever gets a
// sealed packet to see can at most repeat that request within kTolerance_s.
//
// Behind the seal only CONTENT_LENGTH may stand, of a body that was collected after
// the packet was made. Plain values; no allocation. Any thread.
class RequestSeal {
 public:
  static constexpr std::string_view kVariable = "FEALTY_SEAL";
  static constexpr std::size_t kKeyBytes = 32;
  static constexpr std::int64_t kTolerance_s = 60;   // of the stamp, both ways
  static constexpr std::size_t kMacDigits = 32;
  // As many digits as a time has, a colon, the MAC.
  static constexpr std::size_t kValueBytesMax = 20 + 1 + kMacDigits;
  static constexpr std::size_t kPairBytesMax =
      4 + kVariable.size() + kValueBytesMax;

  // What the key is for, among those of one secret.
  static constexpr std::string_view kPurpose = "requests hmac-sha256 1";

  explicit RequestSeal(std::span<const unsigned char, kKeyBytes> key);
  // Of a key's bytes; none where there are none.
  [[nodiscard]] static std::optional<RequestSeal> with(std::string_view key);

  // Adds the seal to an encoded packet of `packet_bytes`, for which `out` has
  // kPairBytesMax more and the format, too; returns its new size.
  [[nodiscard]] std::size_t add(std::span<char> out, std::size_t packet_bytes,
                                std::int64_t unix_s) const;
  // `value`: of the variable; `sealed`: the pairs before it.
  [[nodiscard]] bool is_good(std::string_view value, std::string_view sealed,
                             std::int64_t unix_s) const;

 private:
  void write_mac(std::string_view stamp, std::string_view sealed,
                 char* digits) const;

  SHA256_CTX inner_{};             // of HMAC, with the key's block behind it
  SHA256_CTX outer_{};
};

}  // namespace fealty::router
