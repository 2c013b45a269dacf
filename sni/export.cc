#include "sni/export.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <memory>
#include <utility>

#include "sni/openssl.h"

namespace fealty::sni {
namespace {

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Bio = std::unique_ptr<BIO, FreeBio>;

// What `write` puts into a BIO, wiped there afterwards.
template <typename Write>
std::string text_of(const Write& write) {
  const Bio bio(BIO_new(BIO_s_secmem()));
  if (bio == nullptr || write(bio.get()) != 1) return {};
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &bytes);
  return size > 0 ? std::string(bytes, static_cast<std::size_t>(size))
                  : std::string();
}

std::string pem_text(X509* certificate) {
  return text_of([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

void add_policy(SSL* ssl, const ClientPolicy& policy, ExportedIdentity& out) {
  out.client_demanded = policy.demands();
  out.client_depth = SSL_get_verify_depth(ssl);
  X509_STORE* store = nullptr;
  if (SSL_get0_verify_cert_store(ssl, &store) != 1 || store == nullptr) return;
  const STACK_OF(X509_OBJECT)* const objects = X509_STORE_get0_objects(store);
  for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
    const X509_OBJECT* const object = sk_X509_OBJECT_value(objects, i);
    if (X509* const certificate = X509_OBJECT_get0_X509(object)) {
      out.client_ca += pem_text(certificate);
    } else if (X509_CRL* const crl = X509_OBJECT_get0_X509_CRL(object)) {
      out.client_crl += text_of(
          [&](BIO* bio) { return PEM_write_bio_X509_CRL(bio, crl); });
    }
  }
}

// Of the credential that `ssl` has current.
ExportedIdentity exported(SSL* ssl, const Identity& identity) {
  ExportedIdentity out;
  out.name = identity.key();
  out.chain = pem_text(SSL_get_certificate(ssl));
  STACK_OF(X509)* chain = nullptr;
  SSL_get0_chain_certs(ssl, &chain);
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    out.chain += pem_text(sk_X509_value(chain, i));
  }
  out.key = text_of([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, SSL_get_privatekey(ssl), nullptr,
                                         nullptr, 0, nullptr, nullptr);
  });
  if (identity.policy() != nullptr) {
    add_policy(ssl, *identity.policy(), out);
  }
  return out;
}

}  // namespace

ExportedIdentity::~ExportedIdentity() {
  OPENSSL_cleanse(key.data(), key.size());
}

std::vector<ExportedIdentity> export_identity(const Identity& identity) {
  std::vector<ExportedIdentity> all;
  const SslContextPtr context(SSL_CTX_new(TLS_server_method()));
  const SslPtr ssl(context == nullptr ? nullptr : SSL_new(context.get()));
  if (ssl == nullptr || !identity.bind(ssl.get()) ||
      !identity.apply(ssl.get())) {
    ERR_clear_error();
    return all;
  }
  long which = SSL_CERT_SET_FIRST;
  while (SSL_set_current_cert(ssl.get(), which) == 1) {
    all.push_back(exported(ssl.get(), identity));
    which = SSL_CERT_SET_NEXT;
  }
  ERR_clear_error();
  return all;
}

}  // namespace fealty::sni
