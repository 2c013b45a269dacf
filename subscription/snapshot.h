#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/ref.h"
#include "subscription/key_block.h"
#include "subscription/pool.h"

namespace fealty::subscription {

// A key's hash: which shard, and where in it. Seeded once a process, so that
// nobody can make keys that collide.
[[nodiscard]] std::uint64_t hash_key(std::string_view key);

// An immutable set of pools by key; owns a reference to each.
class Shard : private KeyBlock<const Pool> {
  using Block = KeyBlock<const Pool>;

 public:
  // The shard `from` (null: empty; may be taken apart if nobody else has it)
  // with `pool` under its key, or without `key` where `pool` is null. Null
  // where nothing is left.
  [[nodiscard]] static Ref<const Shard> edited(Ref<const Shard> from,
                                               std::uint64_t hash,
                                               std::string_view key,
                                               PoolRef pool);

  [[nodiscard]] const Pool* find(std::string_view key,
                                 std::uint64_t hash) const {
    const std::size_t at = place_of(key, hash);
    return at == Block::size() ? nullptr : (*this)[at];
  }
  // Begins to fetch what find() of this hash will read, if there are some
  // `count_guess` pools in the shard.
  void prefetch(std::uint64_t hash, std::size_t count_guess) const {
    Block::prefetch(tag_of(hash), count_guess);
  }
  using Block::size;
  using Block::operator[];

  void acquire() const { refs().add(); }
  void release() const;

 private:
  friend Block;                            // make()
  explicit Shard(std::uint32_t count) : Block(count) {}
  ~Shard() = default;
  [[nodiscard]] std::size_t place_of(std::string_view key,
                                     std::uint64_t hash) const {
    return Block::find(tag_of(hash),
                       [&](const Pool& pool) { return pool.has_key(key); });
  }
};

// One step of the tree that leads to a shard.
template <typename Child>
struct Branch {
  static constexpr std::size_t kChildren = 32;
  std::array<Ref<const Child>, kChildren> children;

  void acquire() const { refs.add(); }
  void release() const {
    if (refs.drop()) delete this;
  }
  RefCount refs;
  Branch() = default;
  Branch(const Branch& other) : children(other.children) {}
  Branch& operator=(const Branch&) = delete;
};

// Everything that a worker routes by: immutable, published by the control
// thread, adopted by each worker between two turns of its loop, read there
// through a plain pointer. A tree of three steps to 32,768 shards, so that a
// new version shares all with the last one but the way to what changed: some
// 130 pointers to copy for a change, however many keys there are.
class Snapshot {
 public:
  static constexpr int kWildcardSteps = 5;
  static constexpr int kMountpointLevelsMax = 16;

  // Empty.
  Snapshot() = default;
  Snapshot(bool dotsplit, std::uint64_t version)
      : dotsplit_(dotsplit), version_(version) {}
  // A copy with another version, to be edited before it is published.
  Snapshot(const Snapshot& from, std::uint64_t version)
      : root_(from.root_),
        pool_count_(from.pool_count_),
        dotsplit_(from.dotsplit_),
        version_(version) {}
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  // Before it is published: `pool` under its key, or nothing under `key`.
  void put(PoolRef pool);
  void remove(std::string_view key);

  // The pool of exactly this key (already normalised), or null. The pointer
  // lives as long as the snapshot; PoolRef::share() keeps it longer.
  [[nodiscard]] const Pool* find_exact(std::string_view key) const;

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
  [[nodiscard]] const Shard* shard(std::size_t index) const;
  [[nodiscard]] std::uint64_t version() const { return version_; }
  [[nodiscard]] std::size_t pool_count() const { return pool_count_; }

 private:
  using Low = Branch<Shard>;
  using Middle = Branch<Low>;

  void edit(std::uint64_t hash, std::string_view key, PoolRef pool);
  // The shard of this hash, which is being fetched; null: it is empty.
  [[nodiscard]] const Shard* prefetched(std::uint64_t hash) const;
  [[nodiscard]] const Pool* find_wildcard(std::string_view host) const;
  [[nodiscard]] const Pool* find_mounted(std::string_view host,
                                         std::string_view path,
                                         int levels) const;

  std::array<Ref<const Middle>, Branch<Low>::kChildren> root_;
  std::size_t pool_count_ = 0;
  bool dotsplit_ = true;
  std::uint64_t version_ = 0;
};

}  // namespace fealty::subscription
