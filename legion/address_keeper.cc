#include "legion/address_keeper.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "base/log.h"

namespace fealty::legion {
namespace {

// After the first time, which comes with the address.
constexpr std::array<std::int64_t, 7> kTell_ms = {100,   300,   1'000, 2'000,
                                                  3'000, 5'000, 10'000};
constexpr std::int64_t kTellLater_ms = 60'000;
// A renewal is worth it that lasts so much longer; a refusal is tried again so late.
constexpr std::int64_t kRenew_ms = 250;
constexpr std::int64_t kStep_ms = 50;
// The kernel looks at lifetimes with a quarter of a second of tolerance.
constexpr std::int64_t kKernelLate_ms = 250;
// What is left of a lease when the address is given back: some steps of the thread.
constexpr std::int64_t kGiveBack_ms = 250;

}  // namespace

AddressKeeper::AddressKeeper(const Clock& clock, Interfaces& interfaces,
                             std::int64_t tolerance_ms, std::int64_t outlive_ms)
    : clock_(clock), interfaces_(interfaces), tolerance_ms_(tolerance_ms),
      outlive_ms_(outlive_ms), thread_([this] { run(); }) {}

AddressKeeper::~AddressKeeper() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  wake_.notify_one();
  thread_.join();
  remove_all();
}

std::int64_t AddressKeeper::lease_end_ms() const {
  const std::lock_guard lock(mutex_);
  return until_ms_;
}

// The longest lifetime that does not outlive the lease too long; 0: there is none.
std::uint32_t AddressKeeper::valid_s(std::int64_t now_ms) const {
  const std::int64_t lease_ms = std::min(lease_end_ms() - now_ms, tolerance_ms_);
  if (lease_ms <= kGiveBack_ms) return 0;
  const std::int64_t left_ms = lease_ms + outlive_ms_ - kKernelLate_ms;
  return left_ms <= 0 ? 0 : static_cast<std::uint32_t>(left_ms / 1'000);
}

AddressKeeper::Wanted* AddressKeeper::find(const FloatingAddress& address) {
  const auto found =
      std::find_if(wanted_.begin(), wanted_.end(),
                   [&](const Wanted& own) { return own.address == address; });
  return found == wanted_.end() ? nullptr : &*found;
}

void AddressKeeper::want(std::vector<FloatingAddress> addresses) {
  {
    const std::lock_guard lock(mutex_);
    next_ = std::move(addresses);
    changed_ = true;
  }
  wake_.notify_one();
}

// What want() said, with kernel_ held.
void AddressKeeper::adopt() {
  std::optional<std::vector<FloatingAddress>> next;
  {
    const std::lock_guard lock(mutex_);
    next = std::exchange(next_, std::nullopt);
  }
  if (!next) return;
  for (Wanted& own : wanted_) {
    if (std::find(next->begin(), next->end(), own.address) == next->end()) {
      give_back(own);
      own.address = {};
    }
  }
  std::erase_if(wanted_, [](const Wanted& own) { return own.address.family == 0; });
  for (FloatingAddress& each : *next) {
    if (find(each) == nullptr) wanted_.push_back({.address = std::move(each)});
  }
}

Status AddressKeeper::hold(const FloatingAddress& address) {
  const std::lock_guard lock(kernel_);
  adopt();
  Wanted* const own = find(address);
  if (own == nullptr) {
    return Error{address.to_string() + " is not to be held any more"};
  }
  Status done = own->held() ? Status(Ok{}) : ask(*own, clock_.monotonic_ms());
  show();
  return done;
}

Status AddressKeeper::remove(const FloatingAddress& address) {
  const std::lock_guard lock(kernel_);
  adopt();
  const Wanted* const own = find(address);
  const bool held = own != nullptr && own->held();
  std::erase_if(wanted_, [&](const Wanted& each) { return &each == own; });
  show();
  if (!held && interfaces_.lifetime_s(address) == Interfaces::kForever) {
    return Error{address.to_string() +
                 " is there for ever: it was not added here, and stays"};
  }
  return interfaces_.remove(address);
}

Status AddressKeeper::remove_stale(const FloatingAddress& address) {
  {
    const std::lock_guard lock(kernel_);
    adopt();
    if (find(address) != nullptr) return Ok{};
    const std::int64_t left_ms =
        1'000 * std::int64_t{interfaces_.lifetime_s(address)};
    if (left_ms <= tolerance_ms_ + outlive_ms_) return Ok{};
  }
  return remove(address);
}

void AddressKeeper::remove_all() {
  want({});
  const std::lock_guard lock(kernel_);
  adopt();
  show();
}

void AddressKeeper::give_back(Wanted& own) {
  if (!own.held()) return;
  own.end_ms = kNever;
  if (const Status gone = interfaces_.remove(own.address); !gone) {
    log::error("{}", gone.error().message);
  }
}

void AddressKeeper::set_lease(std::int64_t until_ms) {
  {
    const std::lock_guard lock(mutex_);
    if (until_ms_ == until_ms) return;
    until_ms_ = until_ms;
    changed_ = true;
  }
  wake_.notify_one();
}

void AddressKeeper::tell_again() {
  const std::lock_guard lock(mutex_);
  tell_again_ = true;
}

std::vector<FloatingAddress> AddressKeeper::held() const {
  const std::lock_guard lock(mutex_);
  return shown_;
}

// After each change of what is held, with kernel_ held.
void AddressKeeper::show() {
  const std::lock_guard lock(mutex_);
  shown_.clear();
  for (const Wanted& own : wanted_) {
    if (own.held()) shown_.push_back(own.address);
  }
}

void AddressKeeper::run() {
  for (;;) {
    bool again = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, std::chrono::milliseconds(kStep_ms),
                     [this] { return ended_ || changed_; });
      if (ended_) return;
      changed_ = false;
      again = std::exchange(tell_again_, false);
    }
    const std::lock_guard lock(kernel_);
    adopt();
    const std::int64_t now_ms = clock_.monotonic_ms();
    for (Wanted& own : wanted_) {
      keep(own, now_ms);
      if (again) {
        own.told_since_ms = now_ms - kTell_ms[0];
        own.told = 0;
      }
      tell(own, now_ms);
    }
    show();
  }
}

void AddressKeeper::keep(Wanted& own, std::int64_t now_ms) {
  // Until when it would be held if the kernel were asked now.
  const std::int64_t end_ms = now_ms + 1'000 * std::int64_t{valid_s(now_ms)};
  const std::int64_t lease_ms = lease_end_ms();
  const bool over = own.end_ms <= now_ms ||
                    own.end_ms + kKernelLate_ms > lease_ms + outlive_ms_;
  if (end_ms == now_ms) {
    if (over || lease_ms - now_ms <= kGiveBack_ms) give_back(own);
    return;
  }
  const bool due = own.held() ? over || end_ms >= own.end_ms + kRenew_ms
                              : now_ms - own.asked_ms >= kRenew_ms;
  if (!due) return;
  const Status done = ask(own, now_ms);
  std::string problem = done ? std::string() : done.error().message;
  if (problem != own.problem && !done) log::error("{}", problem);
  own.problem = std::move(problem);
}

// Adds it, or renews it.
Status AddressKeeper::ask(Wanted& own, std::int64_t now_ms) {
  own.asked_ms = now_ms;
  const std::uint32_t seconds = valid_s(now_ms);
  if (seconds == 0) {
    return Error{"no time is left to hold " + own.address.to_string()};
  }
  if (!own.held() &&
      interfaces_.lifetime_s(own.address) == Interfaces::kForever) {
    return Error{own.address.to_string() +
                 " is there for ever: remove it, so that it can be the Lord's"};
  }
  const Result<bool> added = interfaces_.add(own.address, seconds);
  if (!added) return added.error();
  if (own.held() && *added) {
    log::warning("{} had gone, and is there again", own.address.to_string());
  }
  if (!own.held() || *added) {
    own.told_since_ms = now_ms;
    own.told = 0;
    if (const Status told = interfaces_.tell_neighbours(own.address); !told) {
      log::warning("{}", told.error().message);
    }
  }
  own.end_ms = now_ms + 1'000 * std::int64_t{seconds};
  return Ok{};
}

void AddressKeeper::tell(Wanted& own, std::int64_t now_ms) {
  if (!own.held()) return;
  const std::int64_t after_ms =
      own.told < kTell_ms.size()
          ? kTell_ms[own.told]
          : kTell_ms.back() +
                kTellLater_ms *
                    static_cast<std::int64_t>(own.told - kTell_ms.size() + 1);
  if (now_ms - own.told_since_ms < after_ms) return;
  ++own.told;
  if (const Status told = interfaces_.tell_neighbours(own.address); !told) {
    log::warning("{}", told.error().message);
  }
}

}  // namespace fealty::legion
