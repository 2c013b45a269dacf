#include "sni/client_policy.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

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

Result<Blocks, Refusal> crls_in(std::string_view pem) {
  if (pem.size() > kPemBytesMax) return Refusal::kTooLarge;
  Blocks found;
  PemReader reader(pem);
  PemBlock block;
  for (;;) {
    const PemReader::Step step = reader.next(block);
    if (step == PemReader::Step::kBad) return Refusal::kBadCrl;
    if (step == PemReader::Step::kEnd) break;
    if (block.label != "X509 CRL") continue;
    if (found.size() == ClientPolicy::kCertificatesMax ||
        !decode_body(block.body, ClientPolicy::kCrlBytesMax,
                     found.emplace_back())) {
      return Refusal::kBadCrl;
    }
  }
  if (found.empty() && !pem.empty()) return Refusal::kBadCrl;
  sort_and_unite(found);
  return found;
}

Digest digest_of(const ClientPolicy::Pem& pem, const Blocks& certificates,
                 const Blocks& crls) {
  Hasher hasher;
  hasher.add("client policy").add(pem.demands ? 1 : 0);
  hasher.add(static_cast<std::uint64_t>(pem.depth));
  hasher.add(certificates.size());
  for (const auto& certificate : certificates) hasher.add(certificate.view());
  for (const auto& crl : crls) hasher.add(crl.view());
  return hasher.finish();
}

// A subject that does not fit would have to be cut, and could then be taken
// for another's.
int on_verified(int fine, X509_STORE_CTX* context) {
  if (fine == 0 || X509_STORE_CTX_get_error_depth(context) != 0) return fine;
  if (subject_of(X509_STORE_CTX_get_current_cert(context))) return 1;
  X509_STORE_CTX_set_error(context, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

}  // namespace

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
  const auto crls = crls_in(pem.crl);
  if (!crls) return crls.error();
  const Digest digest = digest_of(pem, *certificates, *crls);
  if (auto known = policies.find(digest); known != nullptr) return known;

  auto* const made = new ClientPolicy;
  auto policy = Ref<const ClientPolicy>::adopt(made);
  made->digest_ = digest;
  made->demands_ = pem.demands;
  made->depth_ = std::clamp(pem.depth, 0, kDepthMax);
  if (const auto why = made->trust(*certificates)) return *why;
  if (!made->revoke(*crls)) return Refusal::kBadCrl;
  policies.add(digest, policy);
  return policy;
}

std::optional<Refusal> ClientPolicy::trust(const Blocks& certificates) {
  trust_.reset(X509_STORE_new());
  names_.reset(sk_X509_NAME_new_null());
  X509_STORE_set_flags(trust_.get(), X509_V_FLAG_PARTIAL_CHAIN);
  for (const SecretBytes& der : certificates) {
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
  }
  return std::nullopt;
}

bool ClientPolicy::revoke(const Blocks& lists) {
  for (const SecretBytes& der : lists) {
    const unsigned char* at = der.data();
    const CrlPtr crl(
        d2i_X509_CRL(nullptr, &at, static_cast<long>(der.size())));
    ERR_clear_error();
    if (crl == nullptr || at != der.data() + der.size() ||
        X509_STORE_add_crl(trust_.get(), crl.get()) != 1) {
      return false;
    }
  }
  if (!lists.empty()) {
    X509_STORE_set_flags(trust_.get(),
                         X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  }
  return true;
}

bool ClientPolicy::apply(SSL* ssl) const {
  STACK_OF(X509_NAME)* const names = SSL_dup_CA_list(names_.get());
  if (names == nullptr) return false;
  SSL_set_client_CA_list(ssl, names);
  SSL_set_verify_depth(ssl, depth_);
  const int mode = demands_ ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                            : SSL_VERIFY_PEER;
  SSL_set_verify(ssl, mode, &on_verified);
  return SSL_set1_verify_cert_store(ssl, trust_.get()) == 1;
}

}  // namespace fealty::sni
