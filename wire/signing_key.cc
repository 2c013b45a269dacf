#include "wire/signing_key.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace fealty::wire {
namespace {

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Bio = std::unique_ptr<BIO, FreeBio>;

constexpr std::array kDigests = {Digest::kSha1, Digest::kSha256,
                                 Digest::kSha512};

bool is_ed_key(const EVP_PKEY* key) {
  return EVP_PKEY_is_a(key, "ED25519") == 1 || EVP_PKEY_is_a(key, "ED448") == 1;
}

std::string group_of(const EVP_PKEY* key) {
  std::array<char, 64> name{};
  std::size_t bytes = 0;
  if (EVP_PKEY_get_group_name(key, name.data(), name.size(), &bytes) != 1) {
    return {};
  }
  return {name.data(), bytes};
}

int exponent_bits(const EVP_PKEY* key) {
  BIGNUM* exponent = nullptr;
  if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) != 1) {
    return 0;
  }
  const int bits = BN_num_bits(exponent);
  BN_free(exponent);
  return bits;
}

// Why a router would not take it; empty if it would.
std::string objection_to(const EVP_PKEY* key) {
  if (is_ed_key(key)) return {};
  if (EVP_PKEY_is_a(key, "EC") == 1) {
    if (!group_of(key).empty()) return {};
    return "an EC key without a named curve; make one with `openssl genpkey "
           "-algorithm EC -pkeyopt ec_paramgen_curve:P-256`";
  }
  if (EVP_PKEY_is_a(key, "RSA") != 1) {
    return "neither an RSA, nor an EC, nor an Ed25519 key";
  }
  if (EVP_PKEY_get_bits(key) > SigningKey::kRsaBitsMax) {
    return "an RSA key of more than " +
           std::to_string(SigningKey::kRsaBitsMax) +
           " bits, which routers refuse";
  }
  if (exponent_bits(key) > SigningKey::kExponentBitsMax) {
    return "an RSA key with an unusually large exponent, which routers refuse";
  }
  return {};
}

// What kind of text it is that holds no private key.
std::string why_no_key(std::string_view pem, bool asked_for_passphrase) {
  if (asked_for_passphrase) {
    return "encrypted, and nobody is asked for the passphrase here; decrypt it "
           "with `openssl pkey -in FILE -out NEW`";
  }
  if (pem.find("PUBLIC KEY-----") != pem.npos) {
    return "the public half of a key; the private one signs";
  }
  if (pem.find("CERTIFICATE-----") != pem.npos) {
    return "a certificate; the private key signs";
  }
  return "no private key in PEM (BEGIN ... PRIVATE KEY)";
}

}  // namespace

std::optional<Digest> parse_digest(std::string_view name) {
  const auto same = [](char a, char b) {
    return (a >= 'a' && a <= 'z' ? a - 'a' + 'A' : a) == b;
  };
  for (const Digest digest : kDigests) {
    const std::string_view known = to_string(digest);
    if (std::equal(name.begin(), name.end(), known.begin(), known.end(),
                   same)) {
      return digest;
    }
  }
  return std::nullopt;
}

std::string_view to_string(Digest digest) {
  switch (digest) {
    case Digest::kSha1: return "SHA1";
    case Digest::kSha256: return "SHA256";
    case Digest::kSha512: return "SHA512";
  }
  return "SHA1";
}

void SigningKey::Free::operator()(evp_pkey_st* key) const {
  EVP_PKEY_free(key);
}

Result<SigningKey> SigningKey::parse(std::string_view pem, Digest digest) {
  bool asked = false;
  const auto on_passphrase = [](char*, int, int, void* out) {
    *static_cast<bool*>(out) = true;
    return -1;
  };
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, on_passphrase, &asked));
  ERR_clear_error();
  if (key == nullptr) return Error{why_no_key(pem, asked)};
  std::string objection = objection_to(key.get());
  if (!objection.empty()) return Error{std::move(objection)};
  return SigningKey(std::move(key), digest);
}

Result<std::string> SigningKey::sign(std::string_view bytes) const {
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(
      EVP_MD_CTX_new(), EVP_MD_CTX_free);
  const std::string name(to_string(digest_));
  const char* const digest = is_ed_key(key_.get()) ? nullptr : name.c_str();
  const auto* const at = reinterpret_cast<const unsigned char*>(bytes.data());
  std::string out;
  std::size_t size = 0;
  const auto target = [&] {
    return reinterpret_cast<unsigned char*>(out.data());
  };
  bool fine = EVP_DigestSignInit_ex(context.get(), nullptr, digest, nullptr,
                                    nullptr, key_.get(), nullptr) == 1 &&
              EVP_DigestSign(context.get(), nullptr, &size, at,
                             bytes.size()) == 1;
  if (fine) {
    out.resize(size);
    fine = EVP_DigestSign(context.get(), target(), &size, at, bytes.size()) ==
           1;
  }
  ERR_clear_error();
  if (!fine) {
    return Error{"the " + description() + " key cannot sign with " + name};
  }
  out.resize(size);
  return out;
}

std::string SigningKey::description() const {
  const EVP_PKEY* const key = key_.get();
  if (EVP_PKEY_is_a(key, "RSA") == 1) {
    return "RSA-" + std::to_string(EVP_PKEY_get_bits(key));
  }
  if (EVP_PKEY_is_a(key, "EC") == 1) return "EC " + group_of(key);
  return EVP_PKEY_is_a(key, "ED25519") == 1 ? "ED25519" : "ED448";
}

std::string SigningKey::public_pem() const {
  const Bio bio(BIO_new(BIO_s_mem()));
  char* data = nullptr;
  if (PEM_write_bio_PUBKEY(bio.get(), key_.get()) != 1) return {};
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

}  // namespace fealty::wire
