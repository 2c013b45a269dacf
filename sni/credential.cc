#include "sni/credential.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "sni/certificate.h"
#include "sni/pem.h"

namespace fealty::sni {

// What is known of a credential while it is judged.
struct Credential::Parts {
  std::vector<SecretBytes> certificates;
  SecretBytes key_der;
  SecretBytes scalar;                    // empty: no short form
  std::optional<Curve> curve;
  KeyKind kind = KeyKind::kEc;
  std::int64_t not_after_s = 0;
  Ref<const Chain> chain;
  Ref<const MaterialBudget> budget;
  std::unique_ptr<Material> material;

  [[nodiscard]] std::span<const unsigned char> der() const {
    return certificates.front().span();
  }
};

namespace {

using PartsStep = std::optional<Refusal>;

constexpr int kRsaBitsMin = 2048;
constexpr int kRsaBitsMax = 4096;        // a larger one costs 10 ms a handshake

bool is_private_key(std::string_view label) {
  return label.ends_with("PRIVATE KEY");
}

bool is_known_key(std::string_view label) {
  return label == "PRIVATE KEY" || label == "EC PRIVATE KEY" ||
         label == "RSA PRIVATE KEY";
}

// The one private key of a PEM text; certificates and EC PARAMETERS beside it
// are common, and count for nothing.
PartsStep private_key_in(std::string_view pem, SecretBytes& der) {
  if (pem.size() > kPemBytesMax) return Refusal::kTooLarge;
  PemReader reader(pem);
  PemBlock block;
  for (;;) {
    const PemReader::Step step = reader.next(block);
    if (step == PemReader::Step::kBad) return Refusal::kNotPem;
    if (step == PemReader::Step::kEnd) break;
    if (!is_private_key(block.label)) continue;
    if (block.encrypted || block.label == "ENCRYPTED PRIVATE KEY") {
      return Refusal::kEncryptedKey;
    }
    if (!is_known_key(block.label)) return Refusal::kUnusualKey;
    if (!der.empty()) return Refusal::kSeveralKeys;
    if (!decode_body(block.body, Credential::kKeyBytesMax, der)) {
      return Refusal::kBadKey;
    }
  }
  if (der.empty()) return Refusal::kNoKey;
  return std::nullopt;
}

struct PublicKeyFacts {
  bool is_ec = false;
  std::optional<Curve> curve;
};

PublicKeyFacts public_key_facts(const X509* certificate) {
  X509_ALGOR* algorithm = nullptr;
  const ASN1_OBJECT* name = nullptr;
  int type = 0;
  const void* value = nullptr;
  X509_PUBKEY_get0_param(nullptr, nullptr, nullptr, &algorithm,
                         X509_get_X509_PUBKEY(certificate));
  X509_ALGOR_get0(&name, &type, &value, algorithm);
  PublicKeyFacts facts;
  facts.is_ec = OBJ_obj2nid(name) == NID_X9_62_id_ecPublicKey;
  if (facts.is_ec && type == V_ASN1_OBJECT) {
    facts.curve = curve_of(OBJ_obj2nid(static_cast<const ASN1_OBJECT*>(value)));
  }
  return facts;
}

std::span<const unsigned char> point_of(const X509* certificate) {
  const ASN1_BIT_STRING* const bits = X509_get0_pubkey_bitstr(certificate);
  return {ASN1_STRING_get0_data(bits),
          static_cast<std::size_t>(ASN1_STRING_length(bits))};
}

// The certificate and the key, which is its public key as well. Null where they
// are none, or do not belong together.
std::unique_ptr<Material> make_material(std::span<const unsigned char> der,
                                        Curve curve,
                                        std::span<const unsigned char> scalar) {
  CertificatePtr certificate = parse_certificate(der, bare_library());
  if (certificate == nullptr) return nullptr;
  KeyPtr key = make_ec_key(curve, scalar, point_of(certificate.get()));
  if (key == nullptr ||
      X509_set_pubkey(certificate.get(), key.get()) != 1) {
    return nullptr;
  }
  // Works out once what OpenSSL asks of it in each handshake.
  X509_check_purpose(certificate.get(), -1, -1);
  ERR_clear_error();
  return std::make_unique<Material>(std::move(certificate), std::move(key));
}

PartsStep judge_dates(const X509* certificate, std::int64_t now_s,
                      std::int64_t& not_after_s) {
  const auto from = unix_time_of(X509_get0_notBefore(certificate));
  const auto until = unix_time_of(X509_get0_notAfter(certificate));
  if (!from || !until) return Refusal::kBadCertificate;
  if (now_s < *from) return Refusal::kNotYetValid;
  if (now_s > *until) return Refusal::kExpired;
  not_after_s = *until;
  return std::nullopt;
}

PartsStep judge_key(const EVP_PKEY* key, KeyKind& kind) {
  kind = KeyKind::kEc;
  if (EVP_PKEY_is_a(key, "ED25519") == 1) return std::nullopt;
  if (EVP_PKEY_is_a(key, "EC") == 1) {
    std::array<char, 64> name{};
    std::size_t bytes = 0;
    if (EVP_PKEY_get_group_name(key, name.data(), name.size(), &bytes) != 1 ||
        !curve_of(OBJ_sn2nid(name.data()))) {
      return Refusal::kWeakKey;
    }
    return std::nullopt;
  }
  if (EVP_PKEY_is_a(key, "RSA") != 1) return Refusal::kUnusualKey;
  kind = KeyKind::kRsa;
  const int bits = EVP_PKEY_get_bits(key);
  if (bits < kRsaBitsMin) return Refusal::kWeakKey;
  return bits > kRsaBitsMax ? PartsStep(Refusal::kUnusualKey) : std::nullopt;
}

// A key whose parts contradict each other matches and still signs nothing.
bool signs(EVP_PKEY* key) {
  struct Free {
    void operator()(EVP_MD_CTX* what) const { EVP_MD_CTX_free(what); }
  };
  constexpr std::array<unsigned char, 4> kText = {'t', 'e', 's', 't'};
  const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  const EVP_MD* const digest =
      EVP_PKEY_is_a(key, "ED25519") == 1 ? nullptr : EVP_sha256();
  std::array<unsigned char, 1024> signature{};
  std::size_t bytes = signature.size();
  const bool fits =
      context != nullptr &&
      EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, key) == 1 &&
      EVP_DigestSign(context.get(), signature.data(), &bytes, kText.data(),
                     kText.size()) == 1 &&
      EVP_MD_CTX_reset(context.get()) == 1 &&
      EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key) == 1 &&
      EVP_DigestVerify(context.get(), signature.data(), bytes, kText.data(),
                       kText.size()) == 1;
  ERR_clear_error();
  return fits;
}

// Everything but ECDSA that encodes as it came.
PartsStep judge_plain(std::span<const unsigned char> der,
                      const SecretBytes& key_der, KeyKind& kind,
                      std::unique_ptr<Material>& material) {
  CertificatePtr certificate = parse_certificate(der);
  const unsigned char* at = key_der.data();
  KeyPtr key(d2i_AutoPrivateKey(nullptr, &at,
                                static_cast<long>(key_der.size())));
  ERR_clear_error();
  if (certificate == nullptr) return Refusal::kBadCertificate;
  EVP_PKEY* const its = X509_get0_pubkey(certificate.get());
  ERR_clear_error();
  if (its == nullptr) return Refusal::kUnusualKey;
  if (const PartsStep why = judge_key(its, kind)) return why;
  if (key == nullptr || at != key_der.data() + key_der.size()) {
    return Refusal::kBadKey;
  }
  const bool fits = X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  if (!fits || !signs(key.get())) return Refusal::kKeyMismatch;
  material = std::make_unique<Material>(std::move(certificate), std::move(key));
  return std::nullopt;
}

// `scalar` stays empty where there is no short form; then `material` is as
// OpenSSL makes it.
PartsStep judge_ec(std::span<const unsigned char> der,
                   const SecretBytes& key_der, Curve curve,
                   SecretBytes& scalar, std::unique_ptr<Material>& material) {
  if (!parse_scalar(key_der.span(), curve, scalar)) {
    // Whether it is another key or none at all: the slow way tells.
    KeyKind kind = KeyKind::kEc;
    const PartsStep why = judge_plain(der, key_der, kind, material);
    return why ? why : Refusal::kBadKey;
  }
  material = make_material(der, curve, scalar.span());
  if (material == nullptr) return Refusal::kBadCertificate;
  if (!is_key_pair(material->key)) return Refusal::kKeyMismatch;
  if (encodes_to(material->certificate.get(), der)) return std::nullopt;
  scalar = SecretBytes();
  KeyKind kind = KeyKind::kEc;
  return judge_plain(der, key_der, kind, material);
}

Result<Ref<const Chain>, Refusal> chain_of(
    const std::vector<SecretBytes>& certificates, Chains& chains) {
  if (certificates.size() == 1) return Ref<const Chain>{};
  Hasher hasher;
  for (std::size_t i = 1; i < certificates.size(); ++i) {
    hasher.add(certificates[i].view());
  }
  const Digest digest = hasher.finish();
  if (auto known = chains.find(digest); known != nullptr) return known;
  CertificatesPtr stack(sk_X509_new_null());
  for (std::size_t i = 1; i < certificates.size(); ++i) {
    CertificatePtr certificate = parse_certificate(certificates[i].span());
    if (certificate == nullptr) return Refusal::kBadCertificate;
    if (!is_self_issued(certificate.get()) &&
        has_weak_digest(certificate.get())) {
      return Refusal::kWeakDigest;
    }
    if (sk_X509_push(stack.get(), certificate.get()) == 0) {
      return Refusal::kBadCertificate;
    }
    (void)certificate.release();
  }
  auto chain = Ref<const Chain>::adopt(new Chain(std::move(stack)));
  chains.add(digest, chain);
  return chain;
}

// Each of the chain has signed the one before it, and counts today: whoever
// serves another one is refused by clients who do not know better. A root at its
// end is not asked. `not_after_s` becomes that of the first to expire.
PartsStep judge_chain(std::span<const unsigned char> der, const Chain& chain,
                      std::int64_t now_s, std::int64_t& not_after_s) {
  const CertificatePtr leaf = parse_certificate(der);
  if (leaf == nullptr) return Refusal::kBadCertificate;
  X509* below = leaf.get();
  for (int i = 0; i < sk_X509_num(chain.get()); ++i) {
    X509* const above = sk_X509_value(chain.get(), i);
    const bool signed_it =
        X509_NAME_cmp(X509_get_issuer_name(below),
                      X509_get_subject_name(above)) == 0 &&
        X509_verify(below, X509_get0_pubkey(above)) == 1;
    ERR_clear_error();
    if (!signed_it) return Refusal::kBrokenChain;
    below = above;
    if (is_self_issued(above)) continue;
    std::int64_t until_s = 0;
    if (judge_dates(above, now_s, until_s)) return Refusal::kChainOutOfDate;
    not_after_s = std::min(not_after_s, until_s);
  }
  return std::nullopt;
}

// A certificate that says what it is for is for servers.
bool is_for_servers(const X509* certificate) {
  bool fits = true;
  auto* const uses = static_cast<EXTENDED_KEY_USAGE*>(X509_get_ext_d2i(
      certificate, NID_ext_key_usage, nullptr, nullptr));
  ERR_clear_error();
  if (uses != nullptr) {
    fits = false;
    for (int i = 0; i < sk_ASN1_OBJECT_num(uses); ++i) {
      const int use = OBJ_obj2nid(sk_ASN1_OBJECT_value(uses, i));
      fits = fits || use == NID_server_auth || use == NID_anyExtendedKeyUsage;
    }
  }
  sk_ASN1_OBJECT_pop_free(uses, ASN1_OBJECT_free);
  return fits;
}

// An SSL that nobody connects to: what it takes, those of handshakes take.
SSL* probe() {
  static const SslContextPtr context(SSL_CTX_new(TLS_server_method()));
  static const SslPtr ssl(SSL_new(context.get()));
  FEALTY_CHECK(ssl != nullptr);
  SSL_certs_clear(ssl.get());
  return ssl.get();
}

}  // namespace

Result<Ref<const Credential>, Refusal> Credential::parse(
    std::string_view chain_pem, std::string_view key_pem, std::int64_t now_s,
    Chains& chains, Ref<const MaterialBudget> budget) {
  Parts parts;
  parts.budget = std::move(budget);
  auto certificates = certificates_in(chain_pem, kChainMax);
  if (!certificates) return certificates.error();
  parts.certificates = *std::move(certificates);
  if (const auto why = private_key_in(key_pem, parts.key_der)) return *why;

  const CertificatePtr first = parse_certificate(parts.der(), bare_library());
  if (first == nullptr) return Refusal::kBadCertificate;
  if (const auto why = judge_dates(first.get(), now_s, parts.not_after_s)) {
    return *why;
  }
  if (has_weak_digest(first.get())) return Refusal::kWeakDigest;
  if (!is_for_servers(first.get())) return Refusal::kNotForServers;
  const PublicKeyFacts facts = public_key_facts(first.get());
  if (facts.is_ec && !facts.curve) return Refusal::kWeakKey;
  parts.curve = facts.curve;
  const PartsStep why =
      facts.is_ec ? judge_ec(parts.der(), parts.key_der, *facts.curve,
                             parts.scalar, parts.material)
                  : judge_plain(parts.der(), parts.key_der, parts.kind,
                                parts.material);
  if (why) return *why;
  auto chain = chain_of(parts.certificates, chains);
  if (!chain) return chain.error();
  parts.chain = *std::move(chain);
  if (parts.chain != nullptr) {
    if (const auto bad = judge_chain(parts.der(), *parts.chain, now_s,
                                     parts.not_after_s)) {
      return *bad;
    }
  }

  auto made = Ref<const Credential>::adopt(make(parts));
  if (!made->give(probe(), *parts.material)) return Refusal::kRefusedByTls;
  if (parts.scalar.empty()) {
    made->kept_.store(parts.material.release(), std::memory_order_relaxed);
  }
  return made;
}

bool Credential::names(const std::string& host) const {
  CertificatePtr made;
  const X509* certificate = nullptr;
  if (const Material* const kept = kept_.load(std::memory_order_acquire)) {
    certificate = kept->certificate.get();
  } else {
    made = parse_certificate(der(), bare_library());
    certificate = made.get();
  }
  // Its cache of extensions is filled under a lock of its own.
  const bool its = certificate != nullptr &&
                   X509_check_host(const_cast<X509*>(certificate), host.data(),
                                   host.size(), 0, nullptr) == 1;
  ERR_clear_error();
  return its;
}

Credential* Credential::make(const Parts& parts) {
  const bool is_short = !parts.scalar.empty();
  const std::size_t tail =
      is_short ? parts.der().size() + parts.scalar.size() : 0;
  void* const memory = ::operator new(sizeof(Credential) + tail);
  auto* const made = new (memory) Credential;
  made->kind_ = parts.kind;
  made->not_after_s_ = parts.not_after_s;
  made->chain_ = parts.chain;
  made->budget_ = parts.budget;
  made->der_bytes_ = static_cast<std::uint32_t>(parts.der().size());
  if (!is_short) return made;
  made->curve_ = *parts.curve;
  made->scalar_bytes_ = static_cast<std::uint16_t>(parts.scalar.size());
  auto* const at = const_cast<unsigned char*>(made->tail());
  std::memcpy(at, parts.der().data(), parts.der().size());
  std::memcpy(at + parts.der().size(), parts.scalar.data(),
              parts.scalar.size());
  return made;
}

Credential::~Credential() {
  if (const Material* const kept = kept_.load(std::memory_order_acquire)) {
    if (is_short()) budget_->give(material_bytes());
    delete kept;
  }
  if (!is_short()) return;
  OPENSSL_cleanse(const_cast<unsigned char*>(scalar().data()),
                  scalar().size());
}

void Credential::release() const {
  if (!refs_.drop()) return;
  this->~Credential();
  ::operator delete(const_cast<Credential*>(this));
}

std::size_t Credential::bytes() const {
  return sizeof *this + (is_short() ? der_bytes_ + scalar_bytes_ : 0);
}

// Measured with OpenSSL 3.0: a key has 2.2 KiB, a certificate's objects some
// four times its DER.
std::int64_t Credential::material_bytes() const {
  constexpr std::int64_t kFixed = 3200;
  return kFixed + 9 * std::int64_t{der_bytes_} / 2;
}

bool Credential::apply(SSL* ssl) const {
  if (const Material* const kept = kept_.load(std::memory_order_acquire)) {
    return give(ssl, *kept);
  }
  std::unique_ptr<Material> made = materialise();
  if (made == nullptr || !give(ssl, *made)) return false;
  keep(std::move(made));
  return true;
}

std::unique_ptr<Material> Credential::materialise() const {
  return make_material(der(), curve_, scalar());
}

bool Credential::give(SSL* ssl, const Material& material) const {
  const bool taken =
      SSL_use_cert_and_key(ssl, material.certificate.get(), material.key.get(),
                           chain_ == nullptr ? nullptr : chain_->get(),
                           1) == 1;
  if (!taken) ERR_clear_error();
  return taken;
}

// Another thread may have come first; its Material does as well.
void Credential::keep(std::unique_ptr<Material> material) const {
  if (!budget_->take(material_bytes())) return;
  const Material* none = nullptr;
  if (kept_.compare_exchange_strong(none, material.get(),
                                    std::memory_order_acq_rel)) {
    (void)material.release();
  } else {
    budget_->give(material_bytes());
  }
}

}  // namespace fealty::sni
