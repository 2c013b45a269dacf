#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "base/key_tree.h"
#include "sni/identity.h"

namespace fealty::sni {

// The identities by name: immutable, published by the control thread, adopted
// by each worker between two turns of its loop, read there through a plain
// pointer. A new version shares all with the last one but the way to what
// changed.
class Snapshot {
 public:
  static constexpr int kWildcardSteps = 5;

  Snapshot() = default;
  Snapshot(KeyTree<Identity> tree, std::size_t with_policy,
           std::uint64_t version)
      : tree_(std::move(tree)), with_policy_(with_policy), version_(version) {}
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  // The identity that serves a host, already in its one form (lower case, no
  // trailing dot, no port): its own, or else that of the nearest wildcard,
  // `.rest`, of at most kWildcardSteps above it. `.example.com` does not serve
  // example.com. Null: it has none. The pointer lives as long as the snapshot.
  [[nodiscard]] const Identity* find(std::string_view host) const;
  [[nodiscard]] const Identity* find_exact(std::string_view name) const {
    return tree_.find(name);
  }

  [[nodiscard]] const Shard<Identity>* shard(std::size_t index) const {
    return tree_.shard(index);
  }
  [[nodiscard]] std::uint64_t version() const { return version_; }
  // Those that want something of their clients. Where there are none, no host
  // needs to be looked up for their sake.
  [[nodiscard]] std::size_t with_policy() const { return with_policy_; }
  [[nodiscard]] std::size_t count() const { return tree_.count(); }

 private:
  KeyTree<Identity> tree_;
  std::size_t with_policy_ = 0;
  std::uint64_t version_ = 0;
};

using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace fealty::sni
