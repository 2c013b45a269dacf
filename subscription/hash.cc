#include "subscription/hash.h"

#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/check.h"

namespace fealty::subscription {

std::uint64_t stable_hash(std::string_view bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

KeyedHash::KeyedHash() : secret_{} {
  static_assert(kSecretBytes >= XXH3_SECRET_SIZE_MIN);
  const ssize_t got = ::getrandom(secret_.data(), secret_.size(), 0);
  FEALTY_CHECK(got == static_cast<ssize_t>(secret_.size()));
}

Hash128 KeyedHash::of(std::string_view bytes) const {
  const XXH128_hash_t hash = XXH3_128bits_withSecret(
      bytes.data(), bytes.size(), secret_.data(), secret_.size());
  return {hash.high64, hash.low64};
}

}  // namespace fealty::subscription
