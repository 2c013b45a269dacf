#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "base/ref.h"
#include "base/result.h"
#include "sni/digest.h"
#include "sni/interned.h"
#include "sni/openssl.h"
#include "sni/refusal.h"
#include "sni/secret.h"

namespace fealty::sni {

// What an identity wants of its clients: a certificate of one of its CAs, or
// none at all where they have none (asks). Most identities have no policy: a
// null pointer stands for it. Immutable; any thread.
//
// Each certificate of the CA file is trusted as it is, be it a root or not. A
// client's chain has at most `depth` intermediates. With a revocation list,
// there must be one of every CA in the chain, and none may be out of date.
class ClientPolicy {
 public:
  static constexpr std::size_t kCertificatesMax = 64;
  static constexpr std::size_t kCrlBytesMax = 48 * 1024;
  static constexpr int kDepthMax = 10;

  struct Pem {
    std::string_view ca;
    std::string_view crl;              // "": nothing is revoked
    bool demands = false;
    int depth = 2;
  };
  [[nodiscard]] static Result<Ref<const ClientPolicy>, Refusal> parse(
      const Pem& pem, Interned<ClientPolicy>& policies);

  [[nodiscard]] bool demands() const { return demands_; }
  // Of the mode, the set of CAs, the depth and the revocation lists: policies
  // of one digest let the same clients in, under the same names.
  [[nodiscard]] const Digest& digest() const { return digest_; }

  // Lets `ssl` ask for a certificate; false where memory ran out.
  [[nodiscard]] bool apply(SSL* ssl) const;

  [[nodiscard]] bool shared() const { return !refs_.unique(); }
  void acquire() const { refs_.add(); }
  void release() const {
    if (refs_.drop()) delete this;
  }

 private:
  ClientPolicy() = default;
  [[nodiscard]] std::optional<Refusal> trust(
      const std::vector<SecretBytes>& certificates);
  [[nodiscard]] bool revoke(const std::vector<SecretBytes>& lists);

  TrustPtr trust_;
  NamesPtr names_;
  Digest digest_{};
  int depth_ = 0;
  bool demands_ = false;
  RefCount refs_;
};

using ClientPolicyRef = Ref<const ClientPolicy>;
using ClientPolicies = Interned<ClientPolicy>;

// Whether a connection under the one may carry requests to the other.
[[nodiscard]] inline bool same_policy(const ClientPolicy* one,
                                      const ClientPolicy* other) {
  if (one == nullptr || other == nullptr) return one == other;
  return one->digest() == other->digest();
}

}  // namespace fealty::sni
