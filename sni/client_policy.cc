#include "sni/client_policy.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "sni/certificate.h"
#include "sni/client.h"
#include "sni/pem.h"

namespace fealty::sni {
namespace {

using Blocks = std::vector<SecretBytes>;

// A set: neither order nor repetition says anything.
void sort_and_unite(Blocks& blocks) {
  std::sort(blocks.begin(), blocks.end(),
            [](const auto& a, const auto& b) { return a.view() < b.view(); });
  blocks.erase(std::unique(blocks.begin(), blocks.end(),
                           [](const auto& a, const auto& b) {
                             return a.view() == b.view();
                           }),
               blocks.end());
}

// Appends those of the text; other blocks count for nothing.
bool lists_in(std::string_view pem, Blocks& found) {
  PemReader reader(pem);
  PemBlock block;
  for (;;) {
    const PemReader::Step step = reader.next(block);
    if (step == PemReader::Step::kBad) return false;
    if (step == PemReader::Step::kEnd) return true;
    if (block.label != "X509 CRL") continue;
    if (found.size() == ClientPolicy::kCertificatesMax ||
        !decode_body(block.body, ClientPolicy::kCrlBytesMax,
                     found.emplace_back())) {
      return false;
    }
  }
}

CrlPtr parse_list(const SecretBytes& der) {
  const unsigned char* at = der.data();
  CrlPtr list(d2i_X509_CRL(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (at != der.data() + der.size()) return nullptr;
  return list;
}

// Whether one of the certificates has signed the list.
bool is_signed_by(X509_CRL* list, const Blocks& certificates) {
  return std::any_of(
      certificates.begin(), certificates.end(), [&](const SecretBytes& der) {
        const CertificatePtr ca = parse_certificate(der.span());
        const bool its =
            ca != nullptr &&
            X509_NAME_cmp(X509_CRL_get_issuer(list),
                          X509_get_subject_name(ca.get())) == 0 &&
            X509_CRL_verify(list, X509_get0_pubkey(ca.get())) == 1;
        ERR_clear_error();
        return its;
      });
}

// What the customer's own text revokes, and of the list for all what his CAs
// have signed: another's CA, be it of the same name, revokes nothing here.
Result<Blocks, Refusal> lists_for(const Blocks& certificates,
                                  const ClientPolicy::Pem& pem) {
  if (pem.crl.size() > kPemBytesMax) return Refusal::kTooLarge;
  Blocks lists;
  Blocks of_all;
  if (!lists_in(pem.ca, lists) || !lists_in(pem.crl, of_all) ||
      (of_all.empty() && !pem.crl.empty())) {
    return Refusal::kBadCrl;
  }
  for (SecretBytes& der : of_all) {
    const CrlPtr list = parse_list(der);
    if (list == nullptr) return Refusal::kBadCrl;
    if (is_signed_by(list.get(), certificates)) {
      lists.push_back(std::move(der));
    }
  }
  sort_and_unite(lists);
  return lists;
}

SecretBytes copy_of(const SecretBytes& bytes) {
  SecretBytes copy(bytes.size());
  for (const unsigned char byte : bytes.span()) copy.push(byte);
  return copy;
}

// A subject that does not fit would have to be cut, and could then be taken
// for another's; of one that is empty nobody could be told. A CA that publishes
// no list has revoked nothing.
int on_verified(int fine, X509_STORE_CTX* context) {
  if (fine == 0) {
    if (X509_STORE_CTX_get_error(context) != X509_V_ERR_UNABLE_TO_GET_CRL) {
      return 0;
    }
    X509_STORE_CTX_set_error(context, X509_V_OK);
    return 1;
  }
  if (X509_STORE_CTX_get_error_depth(context) != 0) return 1;
  const auto subject = subject_of(X509_STORE_CTX_get_current_cert(context));
  if (subject && !subject->empty()) return 1;
  X509_STORE_CTX_set_error(context, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

}  // namespace

Digest ClientPolicy::Parts::digest() const {
  Hasher hasher;
  hasher.add("client policy").add(demands ? 1 : 0);
  hasher.add(static_cast<std::uint64_t>(depth));
  hasher.add(certificates.size());
  for (const auto& certificate : certificates) hasher.add(certificate.view());
  for (const auto& list : lists) hasher.add(list.view());
  return hasher.finish();
}

Result<Ref<const ClientPolicy>, Refusal> ClientPolicy::parse(
    const Pem& pem, ClientPolicies& policies) {
  auto certificates = certificates_in(pem.ca, kCertificatesMax);
  if (!certificates) {
    return certificates.error() == Refusal::kTooManyCertificates ||
                   certificates.error() == Refusal::kTooLarge
               ? certificates.error()
               : Refusal::kBadClientCa;
  }
  sort_and_unite(*certificates);
  auto lists = lists_for(*certificates, pem);
  if (!lists) return lists.error();
  return make({*std::move(certificates), *std::move(lists), pem.demands,
               std::clamp(pem.depth, 0, kDepthMax)},
              policies);
}

Result<Ref<const ClientPolicy>, Refusal> ClientPolicy::make(
    Parts parts, ClientPolicies& policies) {
  const Digest digest = parts.digest();
  if (auto known = policies.find(digest); known != nullptr) return known;
  auto* const made = new ClientPolicy(std::move(parts));
  auto policy = Ref<const ClientPolicy>::adopt(made);
  made->digest_ = digest;
  if (const auto why = made->trust()) return *why;
  if (!made->revoke()) return Refusal::kBadCrl;
  policies.add(digest, policy);
  return policy;
}

Ref<const ClientPolicy> ClientPolicy::joint(
    const Ref<const ClientPolicy>& one, const Ref<const ClientPolicy>& other,
    ClientPolicies& policies) {
  if (one == nullptr || other == nullptr) return one == nullptr ? other : one;
  const Parts& a = one->parts_;
  const Parts& b = other->parts_;
  const auto contains = [](const Blocks& all, const SecretBytes& what) {
    return std::any_of(all.begin(), all.end(), [&](const SecretBytes& each) {
      return each.view() == what.view();
    });
  };
  Parts both{{}, {}, a.demands || b.demands, std::min(a.depth, b.depth)};
  for (const SecretBytes& certificate : a.certificates) {
    if (contains(b.certificates, certificate)) {
      both.certificates.push_back(copy_of(certificate));
    }
  }
  for (const Parts* const parts : {&a, &b}) {
    for (const SecretBytes& list : parts->lists) {
      both.lists.push_back(copy_of(list));
    }
  }
  sort_and_unite(both.lists);
  auto made = make(std::move(both), policies);
  FEALTY_CHECK(made);  // all of it was read before
  return *std::move(made);
}

std::optional<Refusal> ClientPolicy::trust() {
  trust_.reset(X509_STORE_new());
  names_.reset(sk_X509_NAME_new_null());
  X509_STORE_set_flags(trust_.get(), X509_V_FLAG_PARTIAL_CHAIN);
  std::size_t name_bytes = 0;
  for (const SecretBytes& der : parts_.certificates) {
    const CertificatePtr certificate = parse_certificate(der.span());
    if (certificate == nullptr ||
        X509_STORE_add_cert(trust_.get(), certificate.get()) != 1) {
      return Refusal::kBadClientCa;
    }
    X509_NAME* const name =
        X509_NAME_dup(X509_get_subject_name(certificate.get()));
    if (name == nullptr || sk_X509_NAME_push(names_.get(), name) == 0) {
      X509_NAME_free(name);
      return Refusal::kBadClientCa;
    }
    name_bytes += static_cast<std::size_t>(std::max(0, i2d_X509_NAME(name, nullptr)));
  }
  if (name_bytes > kNameBytesMax) names_.reset(sk_X509_NAME_new_null());
  return std::nullopt;
}

bool ClientPolicy::revoke() {
  for (const SecretBytes& der : parts_.lists) {
    const CrlPtr list = parse_list(der);
    if (list == nullptr ||
        X509_STORE_add_crl(trust_.get(), list.get()) != 1) {
      return false;
    }
    const auto until = unix_time_of(X509_CRL_get0_nextUpdate(list.get()));
    if (until) lists_until_s_ = std::min(lists_until_s_, *until);
  }
  if (!parts_.lists.empty()) {
    X509_STORE_set_flags(trust_.get(),
                         X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  }
  return true;
}

bool ClientPolicy::apply(SSL* ssl) const {
  SSL_set_verify_depth(ssl, parts_.depth);
  const int mode = parts_.demands
                       ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                       : SSL_VERIFY_PEER;
  SSL_set_verify(ssl, mode, &on_verified);
  return SSL_set1_verify_cert_store(ssl, trust_.get()) == 1;
}

bool ClientPolicy::name_cas(SSL* ssl) const {
  STACK_OF(X509_NAME)* const names = SSL_dup_CA_list(names_.get());
  if (names == nullptr) return false;
  SSL_set_client_CA_list(ssl, names);
  return true;
}

}  // namespace fealty::sni
