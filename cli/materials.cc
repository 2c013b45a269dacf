#include "cli/materials.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>
#include <utility>

#include "cli/files.h"

namespace fealty::cli {
namespace {

template <auto Function>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    Function(object);
  }
};
using Bio = std::unique_ptr<BIO, Free<BIO_free>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;

int no_passphrase(char*, int, int, void*) { return -1; }

Bio reader(const std::string& pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

Certificate first_certificate(const std::string& pem) {
  return Certificate(PEM_read_bio_X509(reader(pem).get(), nullptr,
                                       no_passphrase, nullptr));
}

}  // namespace

std::string identity_problem(const std::string& key_pem,
                             const std::string& chain_pem) {
  const Key key(PEM_read_bio_PrivateKey(reader(key_pem).get(), nullptr,
                                        no_passphrase, nullptr));
  const Certificate certificate = first_certificate(chain_pem);
  std::string problem;
  if (key == nullptr) {
    problem = "--sni-key holds no private key in PEM, or an encrypted one";
  } else if (certificate == nullptr) {
    problem = "--sni-crt holds no certificate in PEM";
  } else if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    problem = "--sni-key is not the key of the first certificate in --sni-crt";
  }
  ERR_clear_error();
  return problem;
}

Materials::Materials(const Plan& plan) : plan_(plan) {
  if (!plan.sni || plan.sni->embed) return;
  sni_key_ = plan.sni->key;
  sni_crt_ = plan.sni->crt;
  if (!plan.sni->ca.empty()) {
    sni_ca_ = (plan.sni->ca_required ? "!" : "") + plan.sni->ca;
  }
}

Status Materials::load() {
  if (Status done = load_key(); !done) return done;
  return load_sni();
}

Status Materials::load_key() {
  if (!plan_.sign) return Ok{};
  auto pem = read_private_file(plan_.sign->path);
  if (!pem) return Error{"--sign: " + pem.error().message};
  auto key = wire::SigningKey::parse(*pem, plan_.sign->digest);
  OPENSSL_cleanse(pem->data(), pem->size());
  if (!key) {
    return Error{"--sign: " + plan_.sign->path + " is " + key.error().message};
  }
  key_ = std::move(*key);
  return Ok{};
}

Status Materials::load_sni() {
  if (!plan_.sni || !plan_.sni->embed) return Ok{};
  auto key = read_file(plan_.sni->key);
  if (!key) return Error{"--sni-key: " + key.error().message};
  auto chain = read_file(plan_.sni->crt);
  if (!chain) return Error{"--sni-crt: " + chain.error().message};
  std::string problem = identity_problem(*key, *chain);
  if (!problem.empty()) return Error{std::move(problem)};
  std::string ca;
  if (!plan_.sni->ca.empty()) {
    auto text = read_file(plan_.sni->ca);
    if (!text) return Error{"--sni-ca: " + text.error().message};
    if (first_certificate(*text) == nullptr) {
      ERR_clear_error();
      return Error{"--sni-ca: " + plan_.sni->ca +
                   " holds no certificate in PEM"};
    }
    ca = (plan_.sni->ca_required ? "!" : "") + *text;
  }
  sni_key_ = std::move(*key);
  sni_crt_ = std::move(*chain);
  sni_ca_ = std::move(ca);
  return Ok{};
}

void Materials::fill(wire::SubscriptionPacket& packet) const {
  packet.sni_key = sni_key_;
  packet.sni_crt = sni_crt_;
  packet.sni_ca = sni_ca_;
}

}  // namespace fealty::cli
