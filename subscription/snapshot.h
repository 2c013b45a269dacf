#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/key_tree.h"
#include "subscription/pool.h"

namespace fealty::subscription {

using Shard = fealty::Shard<Pool>;

// Everything that a worker routes by: immutable, published by the control
// thread, adopted by each worker between two turns of its loop, read there
// through a plain pointer. A new version shares all with the last one but the
// way to what changed (base/key_tree.h).
class Snapshot {
 public:
  static constexpr int kWildcardSteps = 5;
  static constexpr int kMountpointLevelsMax = 16;

  // Empty.
  Snapshot() = default;
  Snapshot(bool dotsplit, std::uint64_t version)
      : dotsplit_(dotsplit), version_(version) {}
  // A copy with another version, to be edited before it is published.
  Snapshot(const Snapshot& from, bool dotsplit, std::uint64_t version)
      : tree_(from.tree_), dotsplit_(dotsplit), version_(version) {}
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  // Before it is published: `pool` under its key, or nothing under `key`.
  void put(PoolRef pool) { tree_.put(std::move(pool)); }
  void remove(std::string_view key) { tree_.remove(key); }

  // The pool of exactly this key (already normalised), or null. The pointer
  // lives as long as the snapshot; PoolRef::share() keeps it longer.
  [[nodiscard]] const Pool* find_exact(std::string_view key) const {
    return tree_.find(key);
  }

  // The pool that answers for a request's host, already normalised (lower
  // case, no trailing dot): `host:port` as it was asked for (`host_port`, ""
  // if no port was given), then `host`, then, with dotsplit, `.rest` from the
  // most to the least specific, at most kWildcardSteps. Null: no such domain.
  [[nodiscard]] const Pool* find(std::string_view host,
                                 std::string_view host_port) const;
  // The same with mountpoints of up to `levels` components of `path` (the
  // request's, from its first '/', decoded and without its query): `host/a/b`,
  // `host/a`, then `host`, and so for `host:port` before it. Wildcards have
  // none.
  [[nodiscard]] const Pool* find(std::string_view host,
                                 std::string_view host_port,
                                 std::string_view path, int levels) const;

  // The shard that holds keys of this hash; null: none does.
  [[nodiscard]] const Shard* shard(std::size_t index) const {
    return tree_.shard(index);
  }
  [[nodiscard]] std::uint64_t version() const { return version_; }
  [[nodiscard]] std::size_t pool_count() const { return tree_.count(); }

 private:
  [[nodiscard]] const Pool* find_wildcard(std::string_view host) const;
  [[nodiscard]] const Pool* find_mounted(std::string_view host,
                                         std::string_view path,
                                         int levels) const;

  KeyTree<Pool> tree_;
  bool dotsplit_ = true;
  std::uint64_t version_ = 0;
};

}  // namespace fealty::subscription
