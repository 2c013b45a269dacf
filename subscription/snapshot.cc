#include "subscription/snapshot.h"

#define XXH_INLINE_ALL
#include <sys/random.h>
#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace fealty::subscription {
namespace {

constexpr std::size_t kStepBits = 5;
static_assert(3 * kStepBits == kShardBits);

std::uint64_t make_seed() {
  std::uint64_t seed = 0;
  FEALTY_CHECK(::getrandom(&seed, sizeof seed, 0) == sizeof seed);
  return seed;
}
const std::uint64_t kSeed = make_seed();

constexpr std::size_t step(std::size_t shard, std::size_t which) {
  return (shard >> ((2 - which) * kStepBits)) & ((1U << kStepBits) - 1);
}

// `child` as something that only this writer holds: itself, if that is so
// already, or a copy.
template <typename T>
T& own(Ref<const T>& child) {
  if (child == nullptr) {
    child = Ref<const T>::adopt(new T);
  } else if (!child->refs.unique()) {
    child = Ref<const T>::adopt(new T(*child));
  }
  return const_cast<T&>(*child);
}

}  // namespace

std::uint64_t hash_key(std::string_view key) {
  return XXH3_64bits_withSeed(key.data(), key.size(), kSeed);
}

Ref<const Shard> Shard::edited(Ref<const Shard> from, std::uint64_t hash,
                               std::string_view key, PoolRef pool) {
  const std::uint16_t tag = tag_of(hash);
  const std::size_t count = from == nullptr ? 0 : from->size();
  std::size_t at = from == nullptr ? 0 : from->place_of(key, hash);
  const std::size_t taken = at == count ? 0 : 1;
  if (taken == 0 && from != nullptr) at = from->lower_bound(tag);
  const std::size_t put = pool == nullptr ? 0 : 1;
  if (taken == 0 && put == 0) return from;
  if (count - taken + put == 0) return {};

  auto* const made = Block::make<Shard>(count - taken + put);
  if (put == 1) made->set(at, tag, pool.detach());
  if (from != nullptr) {
    made->copy(0, *from, 0, at);
    made->copy(at + put, *from, at + taken, count - at - taken);
  }
  if (from != nullptr && from->refs().unique()) {
    // Its references move along.
    if (taken == 1) (*from)[at]->release();
    Block::free(const_cast<Shard*>(from.detach()));
  } else {
    for (std::size_t i = 0; i < made->size(); ++i) {
      if (put == 0 || i != at) (*made)[i]->acquire();
    }
  }
  return Ref<const Shard>::adopt(made);
}

void Shard::release() const {
  if (!refs().drop()) return;
  for (std::size_t i = 0; i < size(); ++i) (*this)[i]->release();
  Block::free(const_cast<Shard*>(this));
}

void Snapshot::put(PoolRef pool) {
  const std::string_view key = pool->key();
  edit(hash_key(key), key, std::move(pool));
}

void Snapshot::remove(std::string_view key) { edit(hash_key(key), key, {}); }

void Snapshot::edit(std::uint64_t hash, std::string_view key, PoolRef pool) {
  const std::size_t index = shard_of(hash);
  Middle& middle = own(root_[step(index, 0)]);
  Low& low = own(middle.children[step(index, 1)]);
  Ref<const Shard>& shard = low.children[step(index, 2)];
  pool_count_ -= shard == nullptr ? 0 : shard->size();
  shard = Shard::edited(std::move(shard), hash, key, std::move(pool));
  pool_count_ += shard == nullptr ? 0 : shard->size();
}

const Shard* Snapshot::shard(std::size_t index) const {
  const Middle* const middle = root_[step(index, 0)].get();
  if (middle == nullptr) return nullptr;
  const Low* const low = middle->children[step(index, 1)].get();
  return low == nullptr ? nullptr : low->children[step(index, 2)].get();
}

const Shard* Snapshot::prefetched(std::uint64_t hash) const {
  const Shard* const its = shard(shard_of(hash));
  if (its != nullptr) its->prefetch(hash, pool_count_ >> kShardBits);
  return its;
}

const Pool* Snapshot::find_exact(std::string_view key) const {
  const std::uint64_t hash = hash_key(key);
  const Shard* const its = prefetched(hash);
  return its == nullptr ? nullptr : its->find(key, hash);
}

// All hashes first: their shards then come from memory side by side.
const Pool* Snapshot::find_wildcard(std::string_view host) const {
  if (!dotsplit_ || host.front() == '[') return nullptr;
  struct Step {
    std::string_view key;
    std::uint64_t hash = 0;
    const Shard* shard = nullptr;
  };
  std::array<Step, kWildcardSteps> steps;
  std::size_t count = 0;
  for (std::size_t dot = host.find('.');
       count < steps.size() && dot != host.npos;
       dot = host.find('.', dot + 1)) {
    Step& next = steps[count++];
    next.key = host.substr(dot);
    next.hash = hash_key(next.key);
    next.shard = prefetched(next.hash);
  }
  for (const Step& each : std::span(steps).first(count)) {
    if (each.shard == nullptr) continue;
    if (const Pool* const pool = each.shard->find(each.key, each.hash)) {
      return pool;
    }
  }
  return nullptr;
}

const Pool* Snapshot::find(std::string_view host,
                           std::string_view host_port) const {
  // A client that writes a wildcard as its host is not looking for a domain.
  if (host.empty() || host.front() == '.') return nullptr;
  if (!host_port.empty()) {
    if (const Pool* const pool = find_exact(host_port)) return pool;
  }
  if (const Pool* const pool = find_exact(host)) return pool;
  return find_wildcard(host);
}

// `host` with its mountpoints, the longest first, and then `host` itself.
const Pool* Snapshot::find_mounted(std::string_view host, std::string_view path,
                                   int levels) const {
  std::array<char, kKeyBytesMax> key;
  std::array<std::size_t, kMountpointLevelsMax> ends{};
  std::size_t count = 0;
  const std::size_t room = key.size() - std::min(key.size(), host.size());
  for (std::size_t at = 0; count < static_cast<std::size_t>(levels);) {
    // A component with something in it; else nothing can be mounted there.
    if (at >= path.size() || path[at] != '/') break;
    const std::size_t end = std::min(path.find('/', at + 1), path.size());
    if (end == at + 1 || end > room) break;
    ends[count++] = at = end;
  }
  if (count > 0) {
    host.copy(key.data(), host.size());
    path.copy(key.data() + host.size(), ends[count - 1]);
  }
  while (count > 0) {
    const std::string_view mounted(key.data(), host.size() + ends[--count]);
    if (const Pool* const pool = find_exact(mounted)) return pool;
  }
  return find_exact(host);
}

const Pool* Snapshot::find(std::string_view host, std::string_view host_port,
                           std::string_view path, int levels) const {
  if (levels <= 0) return find(host, host_port);
  if (host.empty() || host.front() == '.') return nullptr;
  levels = std::min(levels, kMountpointLevelsMax);
  if (!host_port.empty()) {
    if (const Pool* const pool = find_mounted(host_port, path, levels)) {
      return pool;
    }
  }
  if (const Pool* const pool = find_mounted(host, path, levels)) return pool;
  return find_wildcard(host);
}

}  // namespace fealty::subscription
