#include "base/key_hash.h"

#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/check.h"

namespace fealty {
namespace {

std::uint64_t make_seed() {
  std::uint64_t seed = 0;
  FEALTY_CHECK(::getrandom(&seed, sizeof seed, 0) == sizeof seed);
  return seed;
}
const std::uint64_t kSeed = make_seed();

}  // namespace

std::uint64_t hash_key(std::string_view key) {
  return XXH3_64bits_withSeed(key.data(), key.size(), kSeed);
}

}  // namespace fealty
