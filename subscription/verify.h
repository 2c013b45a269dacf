#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "subscription/announcement.h"
#include "subscription/options.h"

namespace fealty::subscription {

// Who sent a datagram, as the kernel says (Unix sockets only).
struct Credentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

// Decides whether a decoded announcement counts: where its address may point,
// its stamp, its signature, the cheap questions first. Control thread only.
// Keys are read from the directory when first needed and again whenever the
// file's identity, size or times differ, so that a changed or removed key
// counts at the next packet; at most `keys_cached` stay in memory. A key may be
// RSA (PKCS#1 v1.5), ECDSA or Ed25519, of at most kKeyBitsMax bits. A signature
// costs some 40 us with RSA-2048, a key that is read some 600 us.
//
// Where the key's own file does not exist, those of the wildcards above it are
// asked for, the nearest first: whoever holds `.example.com` may subscribe
// `foo.example.com`, as long as that name has no key of its own.
class Verifier {
 public:
  static constexpr std::size_t kKeysCached = 4096;
  static constexpr std::size_t kKeyFileBytesMax = 64 * 1024;
  static constexpr int kKeyBitsMax = 8192;
  static constexpr int kWildcardKeysMax = 5;

  Verifier(const Options& options, const Clock& clock,
           std::size_t keys_cached = kKeysCached);
  ~Verifier();
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

  // Empty where the announcement counts.
  [[nodiscard]] std::optional<Rejection> check(
      const Announcement& announcement,
      const std::optional<Credentials>& sender);

  // Whether allow_addresses holds `address`: nodes', and those that an
  // acknowledgement is sent to.
  [[nodiscard]] bool address_allowed(const Address& address) const;

 private:
  class KeyStore;

  [[nodiscard]] bool trusted(const std::optional<Credentials>& sender) const;
  [[nodiscard]] std::optional<Rejection> check_signature(
      const Announcement& announcement);

  const Options& options_;
  const Clock& clock_;
  std::unique_ptr<KeyStore> keys_;
};

// The public key's file for a subscription key: `foo.example.com.pem`, with
// every byte outside [A-Za-z0-9.-] as '_' and without the mountpoint. A port's
// file is `foo.example.com_8080.pem`; where there is none, the domain's counts.
// Never a path: no '/' is left.
[[nodiscard]] std::string key_file_name(std::string_view subscription_key);

}  // namespace fealty::subscription
