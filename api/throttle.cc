#include "api/throttle.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>

namespace fealty::api {

static_assert(crypto_shorthash_KEYBYTES == 16);

Throttle::Throttle(std::int64_t burst, std::int64_t refill_ms)
    : burst_(burst),
      refill_ms_(refill_ms),
      full_at_ms_(kSlots, 0) {
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

bool Throttle::take(std::string_view name, std::int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  std::int64_t& full_at = slot(name);
  const std::int64_t begins = std::max(full_at, now_ms);
  if (begins - now_ms > (burst_ - 1) * refill_ms_) return false;
  full_at = begins + refill_ms_;
  return true;
}

void Throttle::give_back(std::string_view name) {
  const std::lock_guard lock(mutex_);
  slot(name) -= refill_ms_;
}

}  // namespace fealty::api
