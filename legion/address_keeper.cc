#include "legion/address_keeper.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "base/log.h"
#include "legion/netlink.h"

namespace fealty::legion {
namespace {

// After the first time, which comes with the address.
constexpr std::array<std::int64_t, 6> kTell_ms = {100,   300,   1'000,
                                                  2'000, 5'000, 10'000};
constexpr std::int64_t kTellLater_ms = 60'000;
constexpr std::int64_t kRenew_ms = 250;
constexpr std::int64_t kStep_ms = 50;
// The kernel looks at lifetimes with a quarter of a second of tolerance.
constexpr std::int64_t kKernelLate_ms = 250;

}  // namespace

AddressKeeper::AddressKeeper(const Clock& clock, std::int64_t tolerance_ms)
    : clock_(clock), tolerance_ms_(tolerance_ms), thread_([this] { run(); }) {}

AddressKeeper::~AddressKeeper() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  wake_.notify_one();
  thread_.join();
  remove_all();
}

// 0: nothing is left of the lease. Where seconds are too coarse, the shortest.
std::uint32_t AddressKeeper::valid_s(std::int64_t now_ms) const {
  const std::lock_guard lock(mutex_);
  const std::int64_t left_ms =
      std::min(until_ms_ - now_ms, tolerance_ms_) - kKernelLate_ms;
  if (left_ms <= 0) return 0;
  if (left_ms < 1'000) return tolerance_ms_ < 2'000 ? 1 : 0;
  return static_cast<std::uint32_t>(left_ms / 1'000);
}

Status AddressKeeper::add(const FloatingAddress& address) {
  const std::lock_guard lock(kernel_);
  const std::int64_t now_ms = clock_.monotonic_ms();
  const std::uint32_t seconds = valid_s(now_ms);
  if (seconds == 0) {
    return Error{"no time is left to hold " + address.to_string()};
  }
  if (Status added = add_address(address, seconds); !added) return added;
  if (const Status told = tell_neighbours(address); !told) {
    log::warning("{}", told.error().message);
  }
  std::erase_if(held_, [&](const Held& own) { return own.address == address; });
  held_.push_back({address, now_ms, 0, now_ms});
  show();
  wake_.notify_one();
  return Ok{};
}

Status AddressKeeper::remove(const FloatingAddress& address) {
  const std::lock_guard lock(kernel_);
  std::erase_if(held_, [&](const Held& own) { return own.address == address; });
  show();
  return delete_address(address);
}

void AddressKeeper::remove_all() {
  const std::lock_guard lock(kernel_);
  for (const Held& own : held_) {
    if (const Status gone = delete_address(own.address); !gone) {
      log::error("{}", gone.error().message);
    }
  }
  held_.clear();
  show();
}

void AddressKeeper::set_lease(std::int64_t until_ms) {
  const std::lock_guard lock(mutex_);
  until_ms_ = until_ms;
}

void AddressKeeper::tell_again() {
  const std::lock_guard lock(mutex_);
  tell_again_ = true;
}

std::vector<FloatingAddress> AddressKeeper::held() const {
  const std::lock_guard lock(mutex_);
  return shown_;
}

// After each change of held_, with kernel_ held.
void AddressKeeper::show() {
  const std::lock_guard lock(mutex_);
  shown_.clear();
  for (const Held& own : held_) shown_.push_back(own.address);
}

void AddressKeeper::run() {
  for (;;) {
    bool again = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, std::chrono::milliseconds(kStep_ms),
                     [this] { return ended_; });
      if (ended_) return;
      again = std::exchange(tell_again_, false);
    }
    const std::lock_guard lock(kernel_);
    const std::int64_t now_ms = clock_.monotonic_ms();
    if (again) {
      for (Held& own : held_) {
        own.told_since_ms = now_ms - kTell_ms[0];
        own.told = 0;
      }
    }
    renew(now_ms);
    tell(now_ms);
  }
}

void AddressKeeper::renew(std::int64_t now_ms) {
  for (Held& own : held_) {
    if (now_ms - own.renewed_ms < kRenew_ms) continue;
    own.renewed_ms = now_ms;
    const std::uint32_t seconds = valid_s(now_ms);
    if (seconds == 0) continue;
    if (const Status done = add_address(own.address, seconds); !done) {
      log::error("{}", done.error().message);
    }
  }
}

void AddressKeeper::tell(std::int64_t now_ms) {
  for (Held& own : held_) {
    const std::int64_t after_ms =
        own.told < kTell_ms.size()
            ? kTell_ms[own.told]
            : kTell_ms.back() +
                  kTellLater_ms *
                      static_cast<std::int64_t>(own.told - kTell_ms.size() + 1);
    if (now_ms - own.told_since_ms < after_ms) continue;
    ++own.told;
    if (const Status told = tell_neighbours(own.address); !told) {
      log::warning("{}", told.error().message);
    }
  }
}

}  // namespace fealty::legion
