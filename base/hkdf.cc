#include "base/hkdf.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <memory>

#include "base/check.h"

namespace fealty {
namespace {

constexpr std::string_view kSalt = "fealty legion";

struct Free {
  void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
  void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};

OSSL_PARAM octets(const char* name, std::string_view value) {
  return OSSL_PARAM_construct_octet_string(
      name, const_cast<char*>(value.data()), value.size());
}

}  // namespace

void derive_key(std::string_view secret, std::string_view info,
                std::span<unsigned char> out) {
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      octets(OSSL_KDF_PARAM_KEY, secret), octets(OSSL_KDF_PARAM_SALT, kSalt),
      octets(OSSL_KDF_PARAM_INFO, info), OSSL_PARAM_construct_end()};
  const std::unique_ptr<EVP_KDF, Free> kdf(
      EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  FEALTY_CHECK(kdf != nullptr);
  const std::unique_ptr<EVP_KDF_CTX, Free> context(EVP_KDF_CTX_new(kdf.get()));
  FEALTY_CHECK(EVP_KDF_derive(context.get(), out.data(), out.size(),
                              parameters) == 1);
}

}  // namespace fealty
