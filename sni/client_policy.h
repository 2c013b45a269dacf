#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>
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
// client's chain has at most `depth` intermediates.
//
// Revocation lists come from the customer, as X509 CRL blocks beside his CAs, and
// from the operator, one text for all: of that one what the policy's own CAs have
// signed counts. A CA without a list has revoked nothing; one whose list is out of
// date vouches for nobody.
class ClientPolicy {
 public:
  static constexpr std::size_t kCertificatesMax = 64;
  static constexpr std::size_t kCrlBytesMax = 48 * 1024;
  static constexpr int kDepthMax = 10;
  // Of the names of the CAs, in DER: more are not sent, and the client chooses
  // among all of its certificates.
  static constexpr std::size_t kNameBytesMax = 4 * 1024;

  struct Pem {
    std::string_view ca;
    std::string_view crl;              // the operator's lists; "": none
    bool demands = false;
    int depth = 2;
  };
  [[nodiscard]] static Result<Ref<const ClientPolicy>, Refusal> parse(
      const Pem& pem, Interned<ClientPolicy>& policies);

  // One that lets in only whom both let in: a certificate is demanded where one
  // of them demands it, of a CA that each of them has (none: it asks for
  // nothing). Where they have none in common, nobody has such a certificate.
  [[nodiscard]] static Ref<const ClientPolicy> joint(
      const Ref<const ClientPolicy>& one, const Ref<const ClientPolicy>& other,
      Interned<ClientPolicy>& policies);

  [[nodiscard]] bool demands() const { return parts_.demands; }
  // Of the mode, the set of CAs, the depth and the revocation lists: policies
  // of one digest let the same clients in, under the same names.
  [[nodiscard]] const Digest& digest() const { return digest_; }

  // Lets `ssl` ask for a certificate; false where memory ran out.
  [[nodiscard]] bool apply(SSL* ssl) const;
  // Has `ssl` tell which CAs count: in full handshakes only. The same.
  [[nodiscard]] bool name_cas(SSL* ssl) const;
  // When the first of its revocation lists goes out of date, seconds since 1970.
  [[nodiscard]] std::int64_t lists_until_s() const { return lists_until_s_; }

  [[nodiscard]] bool shared() const { return !refs_.unique(); }
  void acquire() const { refs_.add(); }
  void release() const {
    if (refs_.drop()) delete this;
  }

 private:
  // What it was made of; both sorted, each once.
  struct Parts {
    std::vector<SecretBytes> certificates;
    std::vector<SecretBytes> lists;
    bool demands = false;
    int depth = 0;

    [[nodiscard]] Digest digest() const;
  };

  explicit ClientPolicy(Parts parts) : parts_(std::move(parts)) {}
  [[nodiscard]] static Result<Ref<const ClientPolicy>, Refusal> make(
      Parts parts, Interned<ClientPolicy>& policies);
  [[nodiscard]] std::optional<Refusal> trust();
  [[nodiscard]] bool revoke();

  Parts parts_;
  TrustPtr trust_;
  NamesPtr names_;
  Digest digest_{};
  std::int64_t lists_until_s_ = std::numeric_limits<std::int64_t>::max();
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
