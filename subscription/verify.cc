#include "subscription/verify.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/fd.h"

namespace fealty::subscription {
namespace {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* what) const {
    Free(what);
  }
};
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using DigestPtr = std::unique_ptr<EVP_MD, Freer<EVP_MD_free>>;
using DigestContextPtr = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;

// A signature of the largest key there is (kKeyBitsMax) has 1024 bytes.
constexpr std::size_t kSignatureBytesMax = 1024;

// What tells one state of a file from another without reading it.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  off_t bytes = 0;
  timespec modified{};
  timespec changed{};

  static FileIdentity of(const struct stat& status) {
    return {status.st_dev, status.st_ino, status.st_size, status.st_mtim,
            status.st_ctim};
  }
  bool operator==(const FileIdentity& other) const {
    const auto same = [](const timespec& a, const timespec& b) {
      return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
    };
    return device == other.device && inode == other.inode &&
           bytes == other.bytes && same(modified, other.modified) &&
           same(changed, other.changed);
  }
};

// File times advance in ticks of the kernel's: two writes within one tick can
// look alike. What was read that soon after a change is not relied upon.
bool is_settled(const FileIdentity& identity) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec - identity.changed.tv_sec > 1;
}

bool read_whole(int fd, std::size_t bytes, std::string& out) {
  out.resize(bytes);
  std::size_t got = 0;
  while (got < bytes) {
    const ssize_t n = ::read(fd, out.data() + got, bytes - got);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    got += static_cast<std::size_t>(n);
  }
  return true;
}

// Null where `pem` holds no public key of a bearable size. An encrypted block
// must not make OpenSSL ask the terminal for its password.
KeyPtr parse_key(const std::string& pem) {
  const auto no_password = [](char*, int, int, void*) { return -1; };
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (bio == nullptr) return nullptr;
  KeyPtr key(PEM_read_bio_PUBKEY(bio.get(), nullptr, no_password, nullptr));
  ERR_clear_error();
  if (key != nullptr && EVP_PKEY_get_bits(key.get()) > Verifier::kKeyBitsMax) {
    return nullptr;
  }
  return key;
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

// Ed25519 hashes by itself and takes no digest.
bool signature_fits(EVP_MD_CTX* context, const EVP_MD* digest, EVP_PKEY* key,
                    std::string_view bytes, std::string_view signature) {
  const auto at = [](std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
  };
  EVP_MD_CTX_reset(context);
  const bool fits =
      EVP_DigestVerifyInit(context, nullptr, is_ed_key(key) ? nullptr : digest,
                           nullptr, key) == 1 &&
      EVP_DigestVerify(context, at(signature), signature.size(), at(bytes),
                       bytes.size()) == 1;
  ERR_clear_error();
  return fits;
}

// Only the path as it is written counts: one that climbs, doubles a slash or
// has an empty step is not compared but refused.
bool is_plain_path(std::string_view path) {
  if (!path.starts_with('/') || path.size() < 2) return false;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view part = path.substr(0, path.find('/'));
    if (part.empty() || part == "." || part == "..") return false;
    path.remove_prefix(part.size());
  }
  return true;
}

bool path_within(std::string_view path, std::string_view prefix) {
  if (prefix.empty()) return false;
  if (prefix.front() == '@') return path.starts_with(prefix);
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  return path.starts_with(prefix) &&
         (path.size() == prefix.size() || path[prefix.size()] == '/');
}

bool within_networks(const Address& address,
                     const std::vector<Network>& networks) {
  return std::any_of(
      networks.begin(), networks.end(),
      [&](const Network& network) { return network.contains(address); });
}

// Linux connects "any address" to the loopback, and uWSGI announces ":3031" for
// a socket that is bound to it: it is judged as where it leads to.
Address as_connected(const Address& address) {
  const std::string host = address.host();
  const bool any = host == "0.0.0.0" || host == "::";
  if (!any) return address;
  const char* const loopback = host == "::" ? "[::1]:1" : "127.0.0.1:1";
  auto parsed = Address::parse(loopback);
  FEALTY_CHECK(parsed);
  return *parsed;
}

std::string_view without_port(std::string_view key) {
  const std::size_t bracket = key.rfind(']');
  return key.substr(0, key.find(':', bracket == key.npos ? 0 : bracket));
}

}  // namespace

// The public keys of a directory, by file name.
class Verifier::KeyStore {
 public:
  KeyStore(std::string directory, Digest digest, std::size_t cached_max)
      : directory_(std::move(directory)),
        cached_max_(cached_max),
        digest_(EVP_MD_fetch(nullptr, digest_name(digest), nullptr)),
        context_(EVP_MD_CTX_new()) {
    if (!directory_.ends_with('/')) directory_ += '/';
  }

  // The key that speaks for `subscription_key`, or null. It lives until the
  // next call.
  EVP_PKEY* find(std::string_view subscription_key) {
    bool exists = false;
    EVP_PKEY* key = load(key_file_name(subscription_key), exists);
    const std::string own = key_file_name(without_port(subscription_key));
    if (!exists) key = load(own, exists);
    std::size_t dot = own.find('.', 1);
    for (int step = 0; !exists && step < kWildcardKeysMax; ++step) {
      if (dot == own.npos || dot + kSuffixBytes >= own.size()) return nullptr;
      key = load(own.substr(dot), exists);
      dot = own.find('.', dot + 1);
    }
    return key;
  }

  bool fits(EVP_PKEY* key, std::string_view bytes, std::string_view signature) {
    return digest_ != nullptr && context_ != nullptr &&
           signature_fits(context_.get(), digest_.get(), key, bytes, signature);
  }

 private:
  static constexpr std::size_t kSuffixBytes = 4;  // ".pem"

  struct Cached {
    FileIdentity identity;
    bool settled = false;
    KeyPtr key;                   // null: the file holds no usable key
  };

  // `exists` is false only where there is no such file: a file that cannot be
  // read still keeps the wildcards' keys away from its name.
  EVP_PKEY* load(const std::string& name, bool& exists) {
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

  EVP_PKEY* read(const std::string& path, const std::string& name) {
    // Not to hang where somebody put a pipe.
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat status{};
    if (!fd.valid() || ::fstat(fd.get(), &status) != 0 ||
        !S_ISREG(status.st_mode) || status.st_size < 0 ||
        static_cast<std::size_t>(status.st_size) > kKeyFileBytesMax) {
      return nullptr;
    }
    Cached cached;
    cached.identity = FileIdentity::of(status);
    cached.settled = is_settled(cached.identity);
    std::string pem;
    if (!read_whole(fd.get(), static_cast<std::size_t>(status.st_size), pem)) {
      return nullptr;
    }
    cached.key = parse_key(pem);
    if (cache_.size() >= cached_max_) cache_.erase(cache_.begin());
    return cache_.emplace(name, std::move(cached)).first->second.key.get();
  }

  std::string directory_;
  std::size_t cached_max_;
  DigestPtr digest_;
  DigestContextPtr context_;
  std::unordered_map<std::string, Cached> cache_;
};

Verifier::Verifier(const Options& options, const Clock& clock,
                   std::size_t keys_cached)
    : options_(options), clock_(clock) {
  if (options.sign_check) {
    keys_ = std::make_unique<KeyStore>(options.sign_check->keys,
                                       options.sign_check->digest, keys_cached);
  }
}

Verifier::~Verifier() = default;

bool Verifier::address_allowed(const Address& address) const {
  const AllowAddresses& allow = options_.allow_addresses;
  if (!address.is_unix()) {
    return within_networks(as_connected(address), allow.networks);
  }
  const std::string path = address.unix_path();  // or "@name"
  if (!path.starts_with('@') && !is_plain_path(path)) return false;
  return std::any_of(
      allow.unix_prefixes.begin(), allow.unix_prefixes.end(),
      [&](const std::string& prefix) { return path_within(path, prefix); });
}

bool Verifier::trusted(const std::optional<Credentials>& sender) const {
  if (!options_.sign_check) return true;
  const auto& uids = options_.sign_check->skip_uids;
  return sender &&
         std::find(uids.begin(), uids.end(), sender->uid) != uids.end();
}

std::optional<Rejection> Verifier::check(
    const Announcement& announcement,
    const std::optional<Credentials>& sender) {
  if (!address_allowed(announcement.address)) {
    return Rejection::kAddressNotAllowed;
  }
  if (trusted(sender)) return std::nullopt;
  return check_signature(announcement);
}

std::optional<Rejection> Verifier::check_signature(
    const Announcement& announcement) {
  if (announcement.signature.empty()) return Rejection::kUnsigned;
  if (announcement.signature.size() > kSignatureBytesMax) {
    return Rejection::kBadSignature;
  }
  const std::int64_t ahead_s = announcement.unix_s - clock_.unix_s();
  const std::int64_t tolerance_s = options_.sign_check->tolerance_s;
  if (ahead_s > tolerance_s || ahead_s < -tolerance_s) return Rejection::kStale;
  EVP_PKEY* const key = keys_->find(announcement.key);
  if (key == nullptr) return Rejection::kNoKey;
  if (!keys_->fits(key, announcement.signed_bytes, announcement.signature)) {
    return Rejection::kBadSignature;
  }
  return std::nullopt;
}

std::string key_file_name(std::string_view subscription_key) {
  std::string name(subscription_key.substr(0, subscription_key.find('/')));
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       (c >= '0' && c <= '9') || c == '.' || c == '-';
    if (!plain) c = '_';
  }
  return name + ".pem";
}

}  // namespace fealty::subscription
