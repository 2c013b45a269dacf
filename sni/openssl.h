#pragma once

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string_view>

namespace fealty::sni {

// Owners of OpenSSL's objects.
template <auto Free>
struct OpensslFree {
  template <typename T>
  void operator()(T* what) const {
    Free(what);
  }
};
template <typename T, auto Free>
using OpensslPtr = std::unique_ptr<T, OpensslFree<Free>>;

using CertificatePtr = OpensslPtr<X509, X509_free>;
using CrlPtr = OpensslPtr<X509_CRL, X509_CRL_free>;
using KeyPtr = OpensslPtr<EVP_PKEY, EVP_PKEY_free>;
using BignumPtr = OpensslPtr<BIGNUM, BN_clear_free>;
using TrustPtr = OpensslPtr<X509_STORE, X509_STORE_free>;
using SslPtr = OpensslPtr<SSL, SSL_free>;
using SslContextPtr = OpensslPtr<SSL_CTX, SSL_CTX_free>;

struct FreeCertificates {
  void operator()(STACK_OF(X509) * what) const {
    sk_X509_pop_free(what, X509_free);
  }
};
using CertificatesPtr = std::unique_ptr<STACK_OF(X509), FreeCertificates>;

struct FreeNames {
  void operator()(STACK_OF(X509_NAME) * what) const {
    sk_X509_NAME_pop_free(what, X509_NAME_free);
  }
};
using NamesPtr = std::unique_ptr<STACK_OF(X509_NAME), FreeNames>;

inline const unsigned char* bytes_at(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace fealty::sni
