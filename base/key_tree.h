#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/key_block.h"
#include "base/key_hash.h"
#include "base/ref.h"

namespace fealty {

// An immutable set of items by key; owns a reference to each. T offers key(),
// acquire() and release(), and, where its items lie in HomeCells, prefetch_home().
template <typename T>
class Shard : private KeyBlock<const T> {
  using Block = KeyBlock<const T>;

 public:
  // The shard `from` (null: empty; may be taken apart if nobody else has it)
  // with `item` under its key, or without `key` where `item` is null. Null
  // where nothing is left.
  [[nodiscard]] static Ref<const Shard> edited(Ref<const Shard> from,
                                               std::uint64_t hash,
                                               std::string_view key,
                                               Ref<const T> item) {
    const std::uint16_t tag = tag_of(hash);
    const std::size_t count = from == nullptr ? 0 : from->size();
    std::size_t at = from == nullptr ? 0 : from->place_of(key, hash, count);
    const std::size_t taken = at == count ? 0 : 1;
    if (taken == 0 && from != nullptr) at = from->lower_bound(tag, count);
    const std::size_t put = item == nullptr ? 0 : 1;
    if (taken == 0 && put == 0) return from;
    if (count - taken + put == 0) return {};

    auto* const made = Block::template make<Shard>(count - taken + put);
    if (put == 1) made->set(at, tag, item.detach());
    if (from != nullptr) {
      made->copy(0, *from, 0, at);
      made->copy(at + put, *from, at + taken, count - at - taken);
    }
    hand_over(std::move(from), taken == 1, at, *made, put == 1);
    return Ref<const Shard>::adopt(made);
  }

  [[nodiscard]] const T* find(std::string_view key, std::uint64_t hash) const {
    return find(key, hash, size());
  }
  // For who knows size(), as the way here does: a read less.
  [[nodiscard]] const T* find(std::string_view key, std::uint64_t hash,
                              std::size_t count) const {
    const std::size_t at = place_of(key, hash, count);
    return at == count ? nullptr : (*this)[at];
  }
  // Begins to fetch what find() of this hash will read.
  void prefetch(std::uint64_t hash, std::size_t count) const {
    Block::prefetch(tag_of(hash), count);
  }
  using Block::size;
  using Block::operator[];

  void acquire() const { Block::refs().add(); }
  void release() const {
    if (!Block::refs().drop()) return;
    for (std::size_t i = 0; i < size(); ++i) (*this)[i]->release();
    Block::free(const_cast<Shard*>(this));
  }

 private:
  friend Block;                            // make()
  explicit Shard(std::uint32_t count) : Block(count) {}
  ~Shard() = default;

  [[nodiscard]] std::size_t place_of(std::string_view key, std::uint64_t hash,
                                     std::size_t count) const {
    return Block::find(tag_of(hash), count, [&](const T& item) {
      // A short key ends in the item's second cache line.
      __builtin_prefetch(reinterpret_cast<const char*>(&item) + 64);
      return item.key() == key;
    });
  }
  // The references of what was copied to `made`: moved along where nobody else
  // has `from`, added to otherwise. The place `at` was taken out of the one and
  // put into the other.
  static void hand_over(Ref<const Shard> from, bool taken, std::size_t at,
                        const Shard& made, bool put) {
    if (from != nullptr && from->refs().unique()) {
      if (taken) (*from)[at]->release();
      Block::free(const_cast<Shard*>(from.detach()));
      return;
    }
    for (std::size_t i = 0; i < made.size(); ++i) {
      if (!put || i != at) made[i]->acquire();
    }
  }
};

// A version of a set of items by key. A tree of three steps to kShards shards,
// so that a copy shares all with the first but the way to what is edited: some
// 130 pointers to copy for a change, however many keys there are. Edited by one
// thread before it is shown to others; immutable from then on, and read by any
// thread through plain pointers, which live as long as this version does.
template <typename T>
class KeyTree {
 public:
  void put(Ref<const T> item) {
    const std::string_view key = item->key();
    edit(hash_key(key), key, std::move(item));
  }
  void remove(std::string_view key) { edit(hash_key(key), key, {}); }

  [[nodiscard]] const T* find(std::string_view key) const {
    const std::uint64_t hash = hash_key(key);
    if constexpr (requires { T::prefetch_home(hash); }) T::prefetch_home(hash);
    const Place its = place(shard_of(hash));
    if (its.shard == nullptr) return nullptr;
    its.shard->prefetch(hash, its.size);
    return its.shard->find(key, hash, its.size);
  }
  // What is under ".rest" of `host`, from the most to the least specific, at
  // most Steps; null: nothing is. All hashes first: their shards then come from
  // memory side by side.
  template <std::size_t Steps>
  [[nodiscard]] const T* find_above(std::string_view host) const {
    struct Step {
      std::string_view key;
      std::uint64_t hash = 0;
      Place place;
    };
    std::array<Step, Steps> steps;
    std::size_t count = 0;
    for (std::size_t dot = host.find('.'); count < Steps && dot != host.npos;
         dot = host.find('.', dot + 1)) {
      Step& next = steps[count++];
      next.key = host.substr(dot);
      next.hash = hash_key(next.key);
      next.place = place(shard_of(next.hash));
      if (next.place.shard == nullptr) continue;
      next.place.shard->prefetch(next.hash, next.place.size);
    }
    for (const Step& each : std::span(steps).first(count)) {
      if (each.place.shard == nullptr) continue;
      if (const T* const item =
              each.place.shard->find(each.key, each.hash, each.place.size)) {
        return item;
      }
    }
    return nullptr;
  }
  // The shard of this index; null: it would be empty.
  [[nodiscard]] const Shard<T>* shard(std::size_t index) const {
    return place(index).shard;
  }
  [[nodiscard]] std::size_t count() const { return count_; }

 private:
  static constexpr std::size_t kStepBits = 5;
  static constexpr std::size_t kChildren = std::size_t{1} << kStepBits;
  static_assert(3 * kStepBits == kShardBits);

  struct Place {
    const Shard<T>* shard = nullptr;
    std::size_t size = 0;
  };

  // The way to a shard, and how many items that has, in one word: a look-up reads
  // both at once.
  class Slot {
   public:
    Slot() = default;
    Slot(const Slot& other) : word_(other.word_) {
      if (const auto* const its = place().shard) its->acquire();
    }
    Slot& operator=(const Slot&) = delete;
    ~Slot() { take().reset(); }

    [[nodiscard]] Place place() const {
      return {reinterpret_cast<const Shard<T>*>(word_ & kPointerMask),
              word_ >> kPointerBits};
    }
    [[nodiscard]] Ref<const Shard<T>> take() {
      const Place its = place();
      word_ = 0;
      return Ref<const Shard<T>>::adopt(its.shard);
    }
    // Where there is nothing.
    void put(Ref<const Shard<T>> shard) {
      const std::size_t size = shard == nullptr ? 0 : shard->size();
      const auto pointer = reinterpret_cast<std::uintptr_t>(shard.detach());
      FEALTY_CHECK((pointer & ~kPointerMask) == 0 && size <= UINT16_MAX);
      word_ = std::uintptr_t{size} << kPointerBits | pointer;
    }

   private:
    std::uintptr_t word_ = 0;
  };

  // One step of the way to a shard.
  template <typename Self, typename Child>
  struct Branch {
    std::array<Child, kChildren> children;
    RefCount refs;

    Branch() = default;
    Branch(const Branch& other) : children(other.children) {}
    Branch& operator=(const Branch&) = delete;
    void acquire() const { refs.add(); }
    void release() const {
      if (refs.drop()) delete static_cast<const Self*>(this);
    }
  };
  struct Low : Branch<Low, Slot> {};
  struct Middle : Branch<Middle, Ref<const Low>> {};

  static constexpr std::size_t step(std::size_t shard, std::size_t which) {
    return (shard >> ((2 - which) * kStepBits)) & (kChildren - 1);
  }
  [[nodiscard]] Place place(std::size_t index) const {
    const Middle* const middle = root_[step(index, 0)].get();
    if (middle == nullptr) return {};
    const Low* const low = middle->children[step(index, 1)].get();
    if (low == nullptr) return {};
    return low->children[step(index, 2)].place();
  }
  // `child` as something that only this writer holds: itself, if that is so
  // already, or a copy.
  template <typename Child>
  static Child& own(Ref<const Child>& child) {
    if (child == nullptr) {
      child = Ref<const Child>::adopt(new Child);
    } else if (!child->refs.unique()) {
      child = Ref<const Child>::adopt(new Child(*child));
    }
    return const_cast<Child&>(*child);
  }
  void edit(std::uint64_t hash, std::string_view key, Ref<const T> item) {
    const std::size_t index = shard_of(hash);
    Middle& middle = own(root_[step(index, 0)]);
    Low& low = own(middle.children[step(index, 1)]);
    Slot& slot = low.children[step(index, 2)];
    count_ -= slot.place().size;
    slot.put(Shard<T>::edited(slot.take(), hash, key, std::move(item)));
    count_ += slot.place().size;
  }

  std::array<Ref<const Middle>, kChildren> root_;
  std::size_t count_ = 0;
};

}  // namespace fealty
