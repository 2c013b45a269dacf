#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "subscription/pool.h"

namespace fealty::subscription {

// A key's hash: which shard, and where in it.
[[nodiscard]] std::uint64_t hash_key(std::string_view key);

// An immutable open-addressing table from key to pool.
class Shard {
 public:
  explicit Shard(std::vector<std::shared_ptr<const Pool>> pools);
  [[nodiscard]] const std::shared_ptr<const Pool>* find(
      std::string_view key, std::uint64_t hash) const;
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  // A power of two of them; null: free.
  std::vector<std::shared_ptr<const Pool>> slots_;
  std::size_t size_ = 0;
};

// Everything that a worker routes by: immutable, published by the control
// thread, adopted by each worker between two turns of its loop, read there
// through a plain pointer. Held in shards so that one change rebuilds one.
class Snapshot {
 public:
  static constexpr std::size_t kShards = 1024;
  using Shards = std::array<std::shared_ptr<const Shard>, kShards>;

  // Empty.
  Snapshot();
  Snapshot(Shards shards, bool dotsplit, std::uint64_t version);

  // The pool of exactly this key (already normalised), or null. The pointer
  // lives as long as the snapshot; copy what it points to to keep the pool.
  [[nodiscard]] const std::shared_ptr<const Pool>* find_exact(
      std::string_view key) const;

  // The pool that answers for a request's host, already normalised (lower
  // case, no trailing dot): `host:port` as it was asked for (`host_port`, ""
  // if no port was given), then `host`, then, with dotsplit, `.rest` from the
  // most to the least specific, at most kWildcardSteps. Null: no such domain.
  [[nodiscard]] const std::shared_ptr<const Pool>* find(
      std::string_view host, std::string_view host_port) const;

  static constexpr int kWildcardSteps = 5;

  [[nodiscard]] const Shards& shards() const { return shards_; }
  [[nodiscard]] std::uint64_t version() const { return version_; }

 private:
  Shards shards_;
  bool dotsplit_ = true;
  std::uint64_t version_ = 0;
};

[[nodiscard]] inline std::size_t shard_of(std::uint64_t hash) {
  return static_cast<std::size_t>(hash >> 54);  // the top ten bits: 1024
}

}  // namespace fealty::subscription
