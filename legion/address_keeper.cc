#include "legion/address_keeper.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "base/log.h"

namespace fealty::legion {
namespace {

// The neighbours are told when an address comes, so much later, each second for
// kTellOften_ms (or as long as a dead Lord's host may still answer for it), and now and
// then afterwards.
constexpr std::array<std::int64_t, 2> kTell_ms = {100, 300};
constexpr std::int64_t kTellSoon_ms = 1'000;
constexpr std::int64_t kTellOften_ms = 10'000;
constexpr std::int64_t kTellLater_ms = 60'000;
// A renewal is worth it that lasts so much longer; a refusal is tried again so late.
constexpr std::int64_t kRenew_ms = 100;
constexpr std::int64_t kRetry_ms = 250;
constexpr std::int64_t kStep_ms = 50;
// The kernel looks at lifetimes with a quarter of a second of tolerance.
constexpr std::int64_t kKernelLate_ms = 250;
// What is left of a lease when the address is given back: some steps of the thread.
constexpr std::int64_t kGiveBack_ms = 400;

}  // namespace

AddressKeeper::AddressKeeper(const Clock& clock, Interfaces& interfaces,
                             std::int64_t tolerance_ms)
    : clock_(clock), interfaces_(interfaces), tolerance_ms_(tolerance_ms),
      thread_([this] { run(); }) {}

AddressKeeper::~AddressKeeper() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  wake_.notify_one();
  thread_.join();
  remove_all();
}

AddressKeeper::Lease AddressKeeper::lease() const {
  const std::lock_guard lock(mutex_);
  return lease_;
}

// The longest lifetime that does not outlive the lease too long; 0: there is none.
std::uint32_t AddressKeeper::valid_s(const Lease& lease, std::int64_t now_ms) const {
  const std::int64_t lease_ms = std::min(lease.until_ms - now_ms, tolerance_ms_);
  if (lease_ms <= kGiveBack_ms) return 0;
  const std::int64_t left_ms = lease_ms + lease.outlive_ms - kKernelLate_ms;
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

// What want() said, with kernel_ held. What is not wanted any more goes at once; where
// the kernel refuses that, it is tried again (keep()).
void AddressKeeper::adopt() {
  std::optional<std::vector<FloatingAddress>> next;
  {
    const std::lock_guard lock(mutex_);
    next = std::exchange(next_, std::nullopt);
  }
  if (!next) return;
  for (Wanted& own : wanted_) {
    own.wanted = std::find(next->begin(), next->end(), own.address) != next->end();
    if (!own.wanted) static_cast<void>(give_back(own));
  }
  forget_unwanted();
  for (FloatingAddress& each : *next) {
    if (find(each) == nullptr) wanted_.push_back({.address = std::move(each)});
  }
}

void AddressKeeper::forget_unwanted() {
  std::erase_if(wanted_,
                [](const Wanted& own) { return !own.wanted && !own.held(); });
}

Status AddressKeeper::hold(const FloatingAddress& address) {
  const std::lock_guard lock(kernel_);
  adopt();
  Wanted* const own = find(address);
  if (own == nullptr || !own->wanted) {
    return Error{address.to_string() + " is not to be held any more"};
  }
  Status done = own->held() ? Status(Ok{}) : ask(*own);
  show();
  return done;
}

Status AddressKeeper::remove(const FloatingAddress& address) {
  const std::lock_guard lock(kernel_);
  adopt();
  return remove_adopted(address);
}

Status AddressKeeper::remove_stale(const FloatingAddress& address) {
  const std::lock_guard lock(kernel_);
  adopt();
  if (find(address) != nullptr) return Ok{};
  const Lease now = lease();
  const std::int64_t left_ms = 1'000 * std::int64_t{interfaces_.lifetime_s(address)};
  if (left_ms <= tolerance_ms_ + now.outlive_ms) return Ok{};
  return remove_adopted(address);
}

// With kernel_ held.
Status AddressKeeper::remove_adopted(const FloatingAddress& address) {
  Wanted* const own = find(address);
  const bool held = own != nullptr && own->held();
  if (!held && interfaces_.lifetime_s(address) == Interfaces::kForever) {
    std::erase_if(wanted_, [&](const Wanted& each) { return &each == own; });
    return Error{address.to_string() +
                 " is there for ever: it was not added here, and stays"};
  }
  if (own == nullptr) return interfaces_.remove(address);
  own->wanted = false;
  const Status gone = held ? give_back(*own) : interfaces_.remove(address);
  forget_unwanted();
  show();
  return gone;
}

void AddressKeeper::remove_all() {
  want({});
  const std::lock_guard lock(kernel_);
  adopt();
  show();
}

// Where the kernel refuses, it is still held.
Status AddressKeeper::give_back(Wanted& own) {
  if (!own.held()) return Ok{};
  Status gone = interfaces_.remove(own.address);
  if (gone) {
    own.end_ms = kNever;
  } else if (own.problem != gone.error().message) {
    own.problem = gone.error().message;
    log::error("{}", own.problem);
  }
  return gone;
}

void AddressKeeper::set_lease(std::int64_t until_ms, std::int64_t outlive_ms) {
  {
    const std::lock_guard lock(mutex_);
    if (lease_.until_ms == until_ms && lease_.outlive_ms == outlive_ms) return;
    lease_ = {until_ms, outlive_ms};
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
    // Whatever is to go goes first.
    for (Wanted& own : wanted_) release(own);
    forget_unwanted();
    for (Wanted& own : wanted_) keep(own);
    for (Wanted& own : wanted_) {
      if (again) begin_to_tell(own, clock_.monotonic_ms() - kTell_ms[0]);
      tell(own);
    }
    show();
  }
}

// What is held without a lease, or too long for it, or is not wanted.
void AddressKeeper::release(Wanted& own) {
  if (!own.held()) return;
  const std::int64_t now_ms = clock_.monotonic_ms();
  const Lease now = lease();
  const bool over = now.until_ms - now_ms <= kGiveBack_ms ||
                    (valid_s(now, now_ms) == 0 &&
                     own.end_ms + kKernelLate_ms > now.until_ms + now.outlive_ms);
  if (own.wanted && !over) return;
  if (now_ms < own.refused_ms + kRetry_ms || give_back(own)) return;
  own.refused_ms = now_ms;
  if (own.end_ms + kKernelLate_ms <= now_ms) own.end_ms = kNever;   // it is gone by now
}

void AddressKeeper::keep(Wanted& own) {
  const std::int64_t now_ms = clock_.monotonic_ms();
  const Lease now = lease();
  // Until when it would be held if the kernel were asked now.
  const std::int64_t end_ms = now_ms + 1'000 * std::int64_t{valid_s(now, now_ms)};
  if (!own.wanted || end_ms == now_ms) return;
  const bool too_long = own.end_ms + kKernelLate_ms > now.until_ms + now.outlive_ms;
  const bool may_retry = own.problem.empty() || now_ms - own.asked_ms >= kRetry_ms;
  const bool due = own.held() ? too_long || end_ms >= own.end_ms + kRenew_ms
                              : now_ms - own.asked_ms >= kRetry_ms;
  if (!due || !may_retry) return;
  const Status done = ask(own);
  std::string problem = done ? std::string() : done.error().message;
  if (problem != own.problem && !done) log::error("{}", problem);
  own.problem = std::move(problem);
  // The kernel has dropped what it does not renew.
  if (!done && own.end_ms + kKernelLate_ms <= now_ms) own.end_ms = kNever;
}

// Adds it, or renews it.
Status AddressKeeper::ask(Wanted& own) {
  if (!own.held() &&
      interfaces_.lifetime_s(own.address) == Interfaces::kForever) {
    own.asked_ms = clock_.monotonic_ms();
    return Error{own.address.to_string() +
                 " is there for ever: remove it, so that it can be the Lord's"};
  }
  // Asked at the last moment: the kernel may have been slow.
  own.asked_ms = clock_.monotonic_ms();
  const std::uint32_t seconds = valid_s(lease(), own.asked_ms);
  if (seconds == 0) {
    return Error{"no time is left to hold " + own.address.to_string()};
  }
  const Result<bool> added = interfaces_.add(own.address, seconds);
  if (!added) return added.error();
  const std::int64_t now_ms = clock_.monotonic_ms();
  const bool was_held = own.held();
  own.end_ms = now_ms + 1'000 * std::int64_t{seconds};
  if (lease().until_ms - now_ms <= kGiveBack_ms) {
    static_cast<void>(give_back(own));
    return Error{"the kernel was too slow to hold " + own.address.to_string()};
  }
  if (was_held && *added) {
    log::warning("{} had gone, and is there again", own.address.to_string());
  }
  if (!was_held || *added) {
    begin_to_tell(own, now_ms);
    tell(own);
  }
  return Ok{};
}

void AddressKeeper::begin_to_tell(Wanted& own, std::int64_t since_ms) {
  own.told_since_ms = own.tell_at_ms = since_ms;
}

void AddressKeeper::tell(Wanted& own) {
  const std::int64_t now_ms = clock_.monotonic_ms();
  const bool is_ours = own.held() && own.wanted &&
                       lease().until_ms - now_ms > kGiveBack_ms;
  if (!is_ours || now_ms < own.tell_at_ms) return;
  const std::int64_t age_ms = now_ms - own.told_since_ms;
  const auto* const next = std::upper_bound(kTell_ms.begin(), kTell_ms.end(), age_ms);
  const std::int64_t often_ms = std::max(kTellOften_ms, tolerance_ms_);
  own.tell_at_ms = next != kTell_ms.end() ? own.told_since_ms + *next
                   : age_ms < often_ms    ? now_ms + kTellSoon_ms
                                          : now_ms + kTellLater_ms;
  const Status told = interfaces_.tell_neighbours(own.address);
  std::string problem = told ? std::string() : told.error().message;
  if (problem != own.tell_problem && !told) log::warning("{}", problem);
  own.tell_problem = std::move(problem);
}

}  // namespace fealty::legion
