#include "subscription/public_keys.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/fd.h"
#include "subscription/key.h"

namespace fealty::subscription {
namespace {

constexpr std::string_view kSuffix = ".pem";

const unsigned char* bytes_at(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

const char* digest_name(Digest digest) {
  switch (digest) {
    case Digest::kSha1: return "SHA1";
    case Digest::kSha256: return "SHA256";
    case Digest::kSha512: return "SHA512";
  }
  return "SHA1";
}

bool is_ed_key(const EVP_PKEY* key) {
  return EVP_PKEY_is_a(key, "ED25519") == 1 || EVP_PKEY_is_a(key, "ED448") == 1;
}

// A customer may bring his own key: none that makes each check a long one.
bool is_bearable_rsa(const EVP_PKEY* key) {
  BIGNUM* exponent = nullptr;
  if (EVP_PKEY_get_bits(key) > PublicKey::kRsaBitsMax) return false;
  if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) != 1) {
    return false;
  }
  const bool bearable = BN_num_bits(exponent) <= PublicKey::kExponentBitsMax;
  BN_free(exponent);
  return bearable;
}

bool is_named_curve(const EVP_PKEY* key) {
  std::array<char, 64> name{};
  std::size_t bytes = 0;
  return EVP_PKEY_get_group_name(key, name.data(), name.size(), &bytes) == 1 &&
         bytes > 0;
}

bool is_usable(const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "RSA") == 1) return is_bearable_rsa(key);
  if (EVP_PKEY_is_a(key, "EC") == 1) return is_named_curve(key);
  return is_ed_key(key);
}

// Measured on one core: RSA-2048 25 us and square in the bits; P-256 70 us,
// the other curves without code of their own up to 1 ms; Ed25519 100 us.
std::int64_t cost_of(const EVP_PKEY* key) {
  const std::int64_t bits = EVP_PKEY_get_bits(key);
  if (EVP_PKEY_is_a(key, "RSA") == 1) {
    return std::max<std::int64_t>(25 * bits * bits / (2048 * 2048), 10);
  }
  return bits <= 256 ? 100 : 1000;
}

Hash128 fingerprint_of(const EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int bytes = i2d_PUBKEY(key, &der);
  if (bytes <= 0) return {};
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(der, static_cast<std::size_t>(bytes), digest.data());
  OPENSSL_free(der);
  Hash128 fingerprint;
  std::memcpy(&fingerprint, digest.data(), sizeof fingerprint);
  return fingerprint;
}

// An encrypted block must not make OpenSSL ask the terminal for its password.
EVP_PKEY* parse_pem(const std::string& pem) {
  const auto no_password = [](char*, int, int, void*) { return -1; };
  BIO* const bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  if (bio == nullptr) return nullptr;
  EVP_PKEY* const key = PEM_read_bio_PUBKEY(bio, nullptr, no_password, nullptr);
  BIO_free(bio);
  ERR_clear_error();
  return key;
}

}  // namespace

std::unique_ptr<PublicKey> PublicKey::parse(const std::string& pem,
                                            Digest digest) {
  std::unique_ptr<PublicKey> made(new PublicKey);
  made->key_.reset(parse_pem(pem));
  const bool usable = made->key_ != nullptr && is_usable(made->key_.get()) &&
                      made->prepare(digest);
  ERR_clear_error();
  return usable ? std::move(made) : nullptr;
}

bool PublicKey::prepare(Digest digest) {
  fingerprint_ = fingerprint_of(key_.get());
  check_us_ = cost_of(key_.get());
  hashing_.reset(EVP_MD_CTX_new());
  if (!fingerprint_ || hashing_ == nullptr) return false;
  if (is_ed_key(key_.get())) return true;
  digest_.reset(EVP_MD_fetch(nullptr, digest_name(digest), nullptr));
  context_.reset(EVP_PKEY_CTX_new(key_.get(), nullptr));
  if (digest_ == nullptr || context_ == nullptr ||
      EVP_PKEY_verify_init(context_.get()) != 1) {
    return false;
  }
  if (EVP_PKEY_is_a(key_.get(), "RSA") == 1 &&
      EVP_PKEY_CTX_set_rsa_padding(context_.get(), RSA_PKCS1_PADDING) != 1) {
    return false;
  }
  return EVP_PKEY_CTX_set_signature_md(context_.get(), digest_.get()) == 1;
}

// Ed25519 hashes by itself. For the others hash and check are apart, since the
// prepared context spares each check the set-up.
bool PublicKey::verifies(std::string_view bytes,
                         std::string_view signature) const {
  if (signature.size() > kSignatureBytesMax) return false;
  bool fits = false;
  if (context_ == nullptr) {
    EVP_MD_CTX_reset(hashing_.get());
    fits = EVP_DigestVerifyInit(hashing_.get(), nullptr, nullptr, nullptr,
                                key_.get()) == 1 &&
           EVP_DigestVerify(hashing_.get(), bytes_at(signature),
                            signature.size(), bytes_at(bytes),
                            bytes.size()) == 1;
  } else {
    std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
    unsigned hash_bytes = 0;
    fits = EVP_DigestInit_ex2(hashing_.get(), digest_.get(), nullptr) == 1 &&
           EVP_DigestUpdate(hashing_.get(), bytes.data(), bytes.size()) == 1 &&
           EVP_DigestFinal_ex(hashing_.get(), hash.data(), &hash_bytes) == 1 &&
           EVP_PKEY_verify(context_.get(), bytes_at(signature),
                           signature.size(), hash.data(), hash_bytes) == 1;
  }
  if (!fits) ERR_clear_error();
  return fits;
}

PublicKeys::PublicKeys(std::string directory, Digest digest,
                       std::size_t cached_max)
    : directory_(std::move(directory)),
      digest_(digest),
      cached_max_(cached_max) {
  if (!directory_.ends_with('/')) directory_ += '/';
}

const PublicKey* PublicKeys::find(std::string_view subscription_key) {
  if (shares_key_file(subscription_key)) return nullptr;
  const std::string_view site = without_mountpoint(subscription_key);
  const std::string_view host = without_port(subscription_key);
  const std::string own = key_file_name(host);
  bool exists = false;
  const PublicKey* key = load(own, exists);
  // An address is in nobody's domain.
  if (!exists && !host.starts_with('[')) key = find_wildcard(own, exists);
  if (!exists && site != host) key = load(key_file_name(site), exists);
  return key;
}

const PublicKey* PublicKeys::find_wildcard(const std::string& own,
                                           bool& exists) {
  std::size_t dot = own.find('.', 1);
  for (int step = 0; step < kWildcardsMax; ++step) {
    if (dot == own.npos || dot + kSuffix.size() >= own.size()) return nullptr;
    const PublicKey* const key = load(own.substr(dot), exists);
    if (exists) return key;
    dot = own.find('.', dot + 1);
  }
  return nullptr;
}

// `exists` is false only where there is no such file: a file that cannot be
// read still keeps the other keys away from its name.
const PublicKey* PublicKeys::load(const std::string& name, bool& exists) {
  const std::string path = directory_ + name;
  struct stat status{};
  const bool there = ::stat(path.c_str(), &status) == 0;
  exists = there || (errno != ENOENT && errno != ENAMETOOLONG);
  const auto known = cache_.find(name);
  if (there && known != cache_.end() && known->second.settled &&
      known->second.identity == FileIdentity::of(status)) {
    return known->second.key.get();
  }
  if (known != cache_.end()) cache_.erase(known);
  return there ? read(path, name) : nullptr;
}

const PublicKey* PublicKeys::read(const std::string& path,
                                  const std::string& name) {
  // Not to hang where somebody put a pipe.
  const UniqueFd fd(
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status{};
  if (!fd.valid() || ::fstat(fd.get(), &status) != 0 ||
      !S_ISREG(status.st_mode) || status.st_size < 0 ||
      static_cast<std::size_t>(status.st_size) > kFileBytesMax) {
    return nullptr;
  }
  Cached cached;
  cached.identity = FileIdentity::of(status);
  cached.settled = is_settled(cached.identity);
  std::string pem;
  if (!read_whole(fd.get(), static_cast<std::size_t>(status.st_size), pem)) {
    return nullptr;
  }
  cached.key = PublicKey::parse(pem, digest_);
  if (cache_.size() >= cached_max_) cache_.erase(cache_.begin());
  return cache_.emplace(name, std::move(cached)).first->second.key.get();
}

}  // namespace fealty::subscription
