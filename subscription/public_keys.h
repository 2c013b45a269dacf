#pragma once

#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "subscription/file_identity.h"
#include "subscription/hash.h"
#include "subscription/options.h"

namespace fealty::subscription {

// A customer's public key, ready to check signatures. RSA (PKCS#1 v1.5),
// ECDSA on a named curve, Ed25519 or Ed448.
class PublicKey {
 public:
  static constexpr int kRsaBitsMax = 8192;
  static constexpr int kExponentBitsMax = 64;   // a longer one costs 1 ms
  static constexpr std::size_t kSignatureBytesMax = 1024;

  // Null where `pem` holds no such key.
  static std::unique_ptr<PublicKey> parse(const std::string& pem,
                                          Digest digest);
  PublicKey(const PublicKey&) = delete;
  PublicKey& operator=(const PublicKey&) = delete;

  [[nodiscard]] bool verifies(std::string_view bytes,
                              std::string_view signature) const;

  // Who it is: the SHA-256 of the key, cut to 128 bits. Equal keys in two
  // files are one customer.
  [[nodiscard]] const Hash128& fingerprint() const { return fingerprint_; }
  // About what a check costs, microseconds.
  [[nodiscard]] std::int64_t check_us() const { return check_us_; }

 private:
  struct Free {
    void operator()(EVP_PKEY* what) const { EVP_PKEY_free(what); }
    void operator()(EVP_PKEY_CTX* what) const { EVP_PKEY_CTX_free(what); }
    void operator()(EVP_MD* what) const { EVP_MD_free(what); }
    void operator()(EVP_MD_CTX* what) const { EVP_MD_CTX_free(what); }
  };
  PublicKey() = default;
  [[nodiscard]] bool prepare(Digest digest);

  std::unique_ptr<EVP_PKEY, Free> key_;
  std::unique_ptr<EVP_PKEY_CTX, Free> context_;  // null: Ed25519, Ed448
  std::unique_ptr<EVP_MD, Free> digest_;
  std::unique_ptr<EVP_MD_CTX, Free> hashing_;
  Hash128 fingerprint_;
  std::int64_t check_us_ = 0;
};

// The public keys of a directory, by file name. A key is read when it is first
// needed and again whenever its file's identity, size or times differ, which
// each find() looks at: a changed, added or removed key counts at the next
// packet. At most `cached_max` stay in memory. Control thread only.
//
// Costs: a stat for each file that is asked for, seven at most; some 600 us
// where a key is read. Callers bound how often (budget.h).
class PublicKeys {
 public:
  static constexpr std::size_t kFileBytesMax = 64 * 1024;
  static constexpr int kWildcardsMax = 5;

  PublicKeys(std::string directory, Digest digest, std::size_t cached_max);

  // The key that speaks for `subscription_key` (normalised), or null; it lives
  // until the next call. Asked for in this order, and the first file that
  // exists decides, be it readable or not:
  //   1. the domain's own, `foo.example.com.pem`, for all its mountpoints and
  //      ports;
  //   2. those of the wildcards above it, the nearest first: who holds
  //      `.example.com` may subscribe `foo.example.com`, as long as that name
  //      has no key of its own;
  //   3. for a port, `foo.example.com_8080.pem`. It comes last because the
  //      domain `foo.example.com_8080`, which is somebody else's, has a file of
  //      the same name.
  [[nodiscard]] const PublicKey* find(std::string_view subscription_key);

 private:
  struct Cached {
    FileIdentity identity;
    bool settled = false;
    std::unique_ptr<PublicKey> key;  // null: the file holds no usable one
  };

  [[nodiscard]] const PublicKey* load(const std::string& name, bool& exists);
  [[nodiscard]] const PublicKey* find_wildcard(const std::string& own,
                                               bool& exists);
  [[nodiscard]] const PublicKey* read(const std::string& path,
                                      const std::string& name);

  std::string directory_;
  Digest digest_;
  std::size_t cached_max_;
  std::unordered_map<std::string, Cached> cache_;
};

}  // namespace fealty::subscription
