#include "sni/certificate.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <span>
#include <utility>

#include "sni/pem.h"

namespace fealty::sni {

Result<std::vector<SecretBytes>, Refusal> certificates_in(
    std::string_view pem, std::size_t count_max) {
  if (pem.size() > kPemBytesMax) return Refusal::kTooLarge;
  std::vector<SecretBytes> found;
  PemReader reader(pem);
  PemBlock block;
  for (;;) {
    const PemReader::Step step = reader.next(block);
    if (step == PemReader::Step::kBad) return Refusal::kNotPem;
    if (step == PemReader::Step::kEnd) break;
    if (block.label != "CERTIFICATE") continue;
    if (found.size() == count_max) return Refusal::kTooManyCertificates;
    if (!decode_body(block.body, kCertificateBytesMax, found.emplace_back())) {
      return Refusal::kBadCertificate;
    }
  }
  if (found.empty()) return Refusal::kNoCertificate;
  return found;
}

CertificatePtr parse_certificate(std::span<const unsigned char> der,
                                 OSSL_LIB_CTX* library) {
  X509* made = X509_new_ex(library, nullptr);
  const unsigned char* at = der.data();
  // On failure d2i frees what it was to fill.
  CertificatePtr certificate(
      d2i_X509(&made, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (at != der.data() + der.size()) return nullptr;
  return certificate;
}

bool encodes_to(const X509* certificate, std::span<const unsigned char> der) {
  unsigned char* bytes = nullptr;
  const int count = i2d_X509(certificate, &bytes);
  const bool same =
      count == static_cast<int>(der.size()) &&
      CRYPTO_memcmp(bytes, der.data(), der.size()) == 0;
  OPENSSL_free(bytes);
  return same;
}

std::optional<std::int64_t> unix_time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) {
    return std::nullopt;
  }
  return std::int64_t{::timegm(&parts)};
}

bool is_self_issued(const X509* certificate) {
  return X509_NAME_cmp(X509_get_subject_name(certificate),
                       X509_get_issuer_name(certificate)) == 0;
}

bool has_weak_digest(X509* certificate) {
  constexpr int kSecurityBitsMin = 112;        // SHA-1 has 80 at the most
  int digest = 0;
  int key = 0;
  int bits = 0;
  unsigned flags = 0;
  const bool known = X509_get_signature_info(certificate, &digest, &key, &bits,
                                             &flags) == 1;
  ERR_clear_error();
  return known && bits < kSecurityBitsMin;
}

}  // namespace fealty::sni
