#include "api/throttle.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace fealty::api {

static_assert(crypto_shorthash_KEYBYTES == 16);

Throttle::Throttle(std::int64_t burst, std::int64_t refill_ms)
    : burst_(burst),
      refill_ms_(refill_ms),
      full_at_ms_(kSlots, std::numeric_limits<std::int64_t>::min()) {
  crypto_shorthash_keygen(key_.data());
}

std::int64_t& Throttle::slot(std::string_view name) {
  std::array<unsigned char, crypto_shorthash_BYTES> hash{};
  crypto_shorthash(hash.data(),
                   reinterpret_cast<const unsigned char*>(name.data()),
                   name.size(), key_.data());
  std::uint64_t number = 0;
  std::memcpy(&number, hash.data(), sizeof number);
  return full_at_ms_[number % kSlots];
}

bool Throttle::allows(std::string_view name, std::int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  return std::max(slot(name), now_ms) - now_ms <= (burst_ - 1) * refill_ms_;
}

void Throttle::charge(std::string_view name, std::int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  std::int64_t& full_at = slot(name);
  // Tries that ran side by side owe no more than a full bucket.
  full_at = std::min(std::max(full_at, now_ms) + refill_ms_,
                     now_ms + burst_ * refill_ms_);
}

}  // namespace fealty::api
