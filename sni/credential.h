#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/ref.h"
#include "base/result.h"
#include "sni/ec_key.h"
#include "sni/interned.h"
#include "sni/material.h"
#include "sni/openssl.h"
#include "sni/refusal.h"

namespace fealty::sni {

// Which of a name's two places a credential takes: clients that know ECDSA get
// the one, the others RSA. Ed25519 stands with ECDSA.
enum class KeyKind : std::uint8_t { kEc, kRsa };
inline constexpr std::size_t kKeyKinds = 2;

// A certificate chain and its private key, proven to fit and to be served.
// Immutable for all who look; any thread.
//
// ECDSA credentials are kept in short form, the certificate's DER and the key's
// number in this one allocation, and made into OpenSSL's objects (Material)
// when a handshake needs them: 20 to 40 us. The first who does leaves them
// here, where the budget allows; then a handshake costs what it does with a
// certificate set for good. The others (RSA, Ed25519, and certificates that
// OpenSSL would not encode as they came) hold their Material from the start.
//
// The key's number is wiped at the end.
class Credential {
 public:
  static constexpr std::size_t kKeyBytesMax = 4 * 1024;  // RSA-4096: 2.4 KiB

  // Control thread only: `chains` is its. Some 100 us, RSA 2 ms.
  [[nodiscard]] static Result<Ref<const Credential>, Refusal> parse(
      std::string_view chain_pem, std::string_view key_pem, std::int64_t now_s,
      Chains& chains, Ref<const MaterialBudget> budget);

  [[nodiscard]] KeyKind kind() const { return kind_; }
  [[nodiscard]] std::int64_t not_after_s() const { return not_after_s_; }
  [[nodiscard]] bool is_short() const { return scalar_bytes_ != 0; }
  // Whether the certificate is for this host, by its names.
  [[nodiscard]] bool names(const std::string& host) const;
  // What this allocation holds.
  [[nodiscard]] std::size_t bytes() const;

  // Gives `ssl` the chain and the key; false where memory ran out.
  [[nodiscard]] bool apply(SSL* ssl) const;

  void acquire() const { refs_.add(); }
  void release() const;
  Credential(const Credential&) = delete;
  Credential& operator=(const Credential&) = delete;

 private:
  struct Parts;                          // what parse() works out

  Credential() = default;
  ~Credential();
  [[nodiscard]] static Credential* make(const Parts& parts);
  [[nodiscard]] const unsigned char* tail() const {
    return reinterpret_cast<const unsigned char*>(this + 1);
  }
  [[nodiscard]] std::span<const unsigned char> der() const {
    return {tail(), der_bytes_};
  }
  [[nodiscard]] std::span<const unsigned char> scalar() const {
    return {tail() + der_bytes_, scalar_bytes_};
  }
  [[nodiscard]] std::unique_ptr<Material> materialise() const;
  [[nodiscard]] bool give(SSL* ssl, const Material& material) const;
  void keep(std::unique_ptr<Material> material) const;
  [[nodiscard]] std::int64_t material_bytes() const;

  RefCount refs_;
  KeyKind kind_ = KeyKind::kEc;
  Curve curve_ = Curve::kP256;
  std::uint16_t scalar_bytes_ = 0;       // 0: no short form
  std::uint32_t der_bytes_ = 0;          // of the certificate, short form or not
  std::int64_t not_after_s_ = 0;
  Ref<const Chain> chain_;               // null: the certificate is all of it
  Ref<const MaterialBudget> budget_;
  mutable std::atomic<const Material*> kept_{nullptr};
};

using CredentialRef = Ref<const Credential>;

}  // namespace fealty::sni
