#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <unordered_map>

#include "base/clock.h"
#include "subscription/hash.h"
#include "subscription/options.h"

namespace fealty::subscription {

// A share of the control thread's time: refilled evenly, full after a second.
// Units: microseconds of work, milliseconds of the clock.
class TimeBucket {
 public:
  TimeBucket(std::int64_t us_per_s, std::int64_t now_ms)
      : us_per_s_(us_per_s), left_us_(us_per_s), seen_ms_(now_ms) {}

  [[nodiscard]] bool has_some(std::int64_t now_ms);
  // Into debt where need be: what a check costs is known afterwards.
  void take(std::int64_t us) { left_us_ -= us; }
  void give_back(std::int64_t us);

 private:
  std::int64_t us_per_s_;
  std::int64_t left_us_;
  std::int64_t seen_ms_;
};

// A bounded set of buckets. The one longest unused gives way to a new one; that
// it had been drained is then forgotten.
class BucketSet {
 public:
  BucketSet(std::int64_t us_per_s, std::size_t buckets_max)
      : us_per_s_(us_per_s), buckets_max_(buckets_max) {}

  [[nodiscard]] bool contains(const Hash128& id) const {
    return index_.contains(id);
  }
  // Made full where it is not there yet. Lives until the next call.
  TimeBucket& at(const Hash128& id, std::int64_t now_ms);
  void erase(const Hash128& id);
  [[nodiscard]] std::size_t size() const { return index_.size(); }

 private:
  struct Entry {
    Hash128 id;
    TimeBucket bucket;
  };
  std::int64_t us_per_s_;
  std::size_t buckets_max_;
  std::list<Entry> entries_;     // the longest unused first
  std::unordered_map<Hash128, std::list<Entry>::iterator, Hash128::Hasher>
      index_;
};

// How much time of the control thread's signature checks may take, so that
// packets cannot starve it. Control thread only.
//
// A check that comes to nothing is paid by its source (a uid, an IP address or
// /64, a socket's path): `source_us` a second. Sources that had no accepted
// packet yet share `strangers_us` besides, so that invented addresses gain
// nothing; those with accepted packets do not depend on it, and so lose nothing
// to a flood of strangers. All failed checks together: `failed_us`.
// A packet that was accepted costs its source nothing: a forwarder brings
// thousands. It is paid by the customer whose key it was signed with,
// `owner_us`, who could otherwise use the thread up with valid packets. Junk
// cannot touch that share.
//
// A refresh of a live node has a share of its own besides, `node_us`, which no
// packet of another node's uses up: many customers may share a source (all of a
// host's on UDP do), and what one of them forges must not keep the others'
// nodes from being refreshed. Who forges packets of just that node uses up its
// share; then it depends on its source's as any packet does. All nodes' shares
// together: `nodes_us`. So checks in vain take failed_us + nodes_us at most.
//
// Each check is charged to its source, or to its node, when it begins to cost;
// settle() gives that back and charges the customer.
class CheckBudget {
 public:
  static constexpr std::size_t kSourcesMax = 4096;
  static constexpr std::size_t kOwnersMax = 4096;
  static constexpr std::size_t kNodesMax = 65'536;

  CheckBudget(const CheckShares& shares, const Clock& clock);

  [[nodiscard]] bool source_may(const Hash128& source);
  [[nodiscard]] bool node_may(const Hash128& node);
  [[nodiscard]] bool owner_may(const Hash128& owner);
  void charge(const Hash128& source, std::int64_t us);
  void charge_node(const Hash128& node, std::int64_t us);
  // More of the customer's, which no source was charged for.
  void charge_owner(const Hash128& owner, std::int64_t us);
  // What `source` was charged led to an accepted packet of `owner`'s.
  void settle(const Hash128& source, const Hash128& owner, std::int64_t us);
  // The same of what `node` was charged.
  void settle_node(const Hash128& node, const Hash128& source,
                   const Hash128& owner, std::int64_t us);

  [[nodiscard]] std::size_t stranger_count() const {
    return strangers_.size();
  }
  [[nodiscard]] std::size_t node_count() const { return nodes_.size(); }

 private:
  [[nodiscard]] TimeBucket& bucket_of(const Hash128& source,
                                      std::int64_t now_ms);
  void make_known(const Hash128& source, std::int64_t now_ms);

  const Clock& clock_;
  BucketSet known_;              // sources with an accepted packet
  BucketSet strangers_;
  BucketSet owners_;
  BucketSet nodes_;
  TimeBucket all_strangers_;
  TimeBucket all_;
  TimeBucket all_nodes_;
};

}  // namespace fealty::subscription
