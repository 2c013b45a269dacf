#include "sni/expiry.h"

#include <algorithm>

namespace fealty::sni {

bool ExpiryScan::step(const SnapshotPtr& identities, std::int64_t now_s,
                      std::int64_t alarm_s, std::size_t shards,
                      const OnDue& on_due) {
  if (walked_ == nullptr) {
    walked_ = identities;
    alarm_before_s_ = now_s + alarm_s;
    lists_before_s_ = now_s + kListAlarm_s;
    next_shard_ = 0;
    walked_alarms_ = 0;
    heap_.clear();
  }
  const std::size_t end = std::min(next_shard_ + shards, kShards);
  for (; next_shard_ < end; ++next_shard_) {
    const Shard<Identity>* const shard = walked_->shard(next_shard_);
    for (std::size_t i = 0; shard != nullptr && i < shard->size(); ++i) {
      look_at(*(*shard)[i], on_due);
    }
  }
  if (next_shard_ < kShards) return false;
  finish();
  return true;
}

void ExpiryScan::look_at(const Identity& identity, const OnDue& on_due) {
  const Candidate candidate{identity.not_after_s(), &identity};
  if (candidate.not_after_s < alarm_before_s_) {
    ++walked_alarms_;
    if (on_due) {
      on_due({identity.key(), What::kCertificate, candidate.not_after_s});
    }
  }
  const ClientPolicy* const policy = identity.policy().get();
  if (policy != nullptr && policy->lists_until_s() < lists_before_s_ &&
      on_due) {
    on_due({identity.key(), What::kRevocationList, policy->lists_until_s()});
  }
  if (heap_.size() == kSoonestMax) {
    if (!(candidate < heap_.front())) return;
    std::pop_heap(heap_.begin(), heap_.end());
    heap_.pop_back();
  }
  heap_.push_back(candidate);
  std::push_heap(heap_.begin(), heap_.end());
}

void ExpiryScan::finish() {
  std::sort_heap(heap_.begin(), heap_.end());
  soonest_.clear();
  for (const Candidate& candidate : heap_) {
    soonest_.push_back({std::string(candidate.identity->key()),
                        candidate.not_after_s});
  }
  alarms_ = walked_alarms_;
  heap_.clear();
  walked_.reset();
}

}  // namespace fealty::sni
