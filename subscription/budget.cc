#include "subscription/budget.h"

#include <algorithm>

namespace fealty::subscription {

bool TimeBucket::has_some(std::int64_t now_ms) {
  constexpr std::int64_t kSecond_ms = 1000;
  const std::int64_t waited_ms =
      std::clamp<std::int64_t>(now_ms - seen_ms_, 0, 60 * kSecond_ms);
  left_us_ = std::min(us_per_s_, left_us_ + us_per_s_ * waited_ms / kSecond_ms);
  // What is less than a microsecond stays for the next time.
  if (us_per_s_ * waited_ms >= kSecond_ms || now_ms < seen_ms_) {
    seen_ms_ = now_ms;
  }
  return left_us_ > 0;
}

void TimeBucket::give_back(std::int64_t us) {
  left_us_ = std::min(us_per_s_, left_us_ + us);
}

TimeBucket& BucketSet::at(const Hash128& id, std::int64_t now_ms) {
  const auto known = index_.find(id);
  if (known != index_.end()) {
    entries_.splice(entries_.end(), entries_, known->second);
    return known->second->bucket;
  }
  if (entries_.size() >= buckets_max_) erase(entries_.front().id);
  entries_.push_back({id, TimeBucket(us_per_s_, now_ms)});
  index_.emplace(id, std::prev(entries_.end()));
  return entries_.back().bucket;
}

void BucketSet::erase(const Hash128& id) {
  const auto known = index_.find(id);
  if (known == index_.end()) return;
  entries_.erase(known->second);
  index_.erase(known);
}

CheckBudget::CheckBudget(const CheckShares& shares, const Clock& clock)
    : clock_(clock),
      known_(shares.source_us, kSourcesMax),
      strangers_(shares.source_us, kSourcesMax),
      owners_(shares.owner_us, kOwnersMax),
      nodes_(shares.node_us, kNodesMax),
      all_strangers_(shares.strangers_us, clock.monotonic_ms()),
      all_(shares.failed_us, clock.monotonic_ms()),
      all_nodes_(shares.nodes_us, clock.monotonic_ms()) {}

TimeBucket& CheckBudget::bucket_of(const Hash128& source,
                                   std::int64_t now_ms) {
  BucketSet& set = known_.contains(source) ? known_ : strangers_;
  return set.at(source, now_ms);
}

bool CheckBudget::source_may(const Hash128& source) {
  const std::int64_t now_ms = clock_.monotonic_ms();
  if (!all_.has_some(now_ms)) return false;
  if (!known_.contains(source) && !all_strangers_.has_some(now_ms)) {
    return false;
  }
  return bucket_of(source, now_ms).has_some(now_ms);
}

bool CheckBudget::node_may(const Hash128& node) {
  const std::int64_t now_ms = clock_.monotonic_ms();
  return all_nodes_.has_some(now_ms) && nodes_.at(node, now_ms).has_some(now_ms);
}

bool CheckBudget::owner_may(const Hash128& owner) {
  const std::int64_t now_ms = clock_.monotonic_ms();
  return owners_.at(owner, now_ms).has_some(now_ms);
}

void CheckBudget::charge(const Hash128& source, std::int64_t us) {
  all_.take(us);
  if (!known_.contains(source)) all_strangers_.take(us);
  bucket_of(source, clock_.monotonic_ms()).take(us);
}

void CheckBudget::charge_node(const Hash128& node, std::int64_t us) {
  all_nodes_.take(us);
  nodes_.at(node, clock_.monotonic_ms()).take(us);
}

void CheckBudget::charge_owner(const Hash128& owner, std::int64_t us) {
  owners_.at(owner, clock_.monotonic_ms()).take(us);
}

void CheckBudget::settle(const Hash128& source, const Hash128& owner,
                         std::int64_t us) {
  const std::int64_t now_ms = clock_.monotonic_ms();
  all_.give_back(us);
  if (known_.contains(source)) {
    known_.at(source, now_ms).give_back(us);
  } else {
    all_strangers_.give_back(us);
    make_known(source, now_ms);
  }
  owners_.at(owner, now_ms).take(us);
}

void CheckBudget::settle_node(const Hash128& node, const Hash128& source,
                              const Hash128& owner, std::int64_t us) {
  const std::int64_t now_ms = clock_.monotonic_ms();
  all_nodes_.give_back(us);
  nodes_.at(node, now_ms).give_back(us);
  make_known(source, now_ms);
  owners_.at(owner, now_ms).take(us);
}

// Or keeps it from giving way to others.
void CheckBudget::make_known(const Hash128& source, std::int64_t now_ms) {
  if (!known_.contains(source)) strangers_.erase(source);
  known_.at(source, now_ms);
}

}  // namespace fealty::subscription
