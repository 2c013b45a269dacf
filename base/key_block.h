#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include "base/check.h"
#include "base/ref.h"
#include "base/slab.h"

namespace fealty {

// Where a key's hash leads: to one of kShards blocks, and there, by its tag, to
// a few candidates. 32,768 blocks hold some 30 keys each of a million.
inline constexpr std::size_t kShardBits = 15;
inline constexpr std::size_t kShards = std::size_t{1} << kShardBits;

// Of a user's address, on every 64-bit system that was asked for no more: the
// rest of a pointer's word is free.
inline constexpr int kPointerBits = 48;
inline constexpr std::uintptr_t kPointerMask =
    (std::uintptr_t{1} << kPointerBits) - 1;

[[nodiscard]] inline std::size_t shard_of(std::uint64_t hash) {
  return static_cast<std::size_t>(hash >> (64 - kShardBits));
}
[[nodiscard]] inline std::uint16_t tag_of(std::uint64_t hash) {
  return static_cast<std::uint16_t>(hash >> (64 - kShardBits - 16));
}

// A dense array of pointers, ordered by the tag of what they stand for: one
// allocation of a header and a word an item, its tag in front of its pointer.
// Tags are evenly distributed, so a search begins where the tag ought to stand
// and walks the few places that it is off: one or two cache lines, whatever it
// finds. 8 bytes a key. Immutable once it was filled. What the pointers own is
// the user's business.
template <typename T>
class KeyBlock {
 public:
  // `count` places to be filled by set(). Self may be a class that adds only
  // functions.
  template <typename Self = KeyBlock>
  [[nodiscard]] static Self* make(std::size_t count) {
    static_assert(sizeof(Self) == sizeof(KeyBlock));
    void* const memory = Slab::shared().allocate(bytes_for(count));
    return new (memory) Self(static_cast<std::uint32_t>(count));
  }
  // Frees the block, not what it points to.
  static void free(KeyBlock* block) {
    Slab::shared().free(block, bytes_for(block->size()));
  }

  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] T* operator[](std::size_t i) const {
    return reinterpret_cast<T*>(words()[i] & kPointerMask);
  }
  void set(std::size_t i, std::uint16_t tag, T* item) {
    const auto pointer = reinterpret_cast<std::uintptr_t>(item);
    FEALTY_CHECK((pointer & ~kPointerMask) == 0);
    words()[i] = std::uintptr_t{tag} << kPointerBits | pointer;
  }
  // Copies `count` places of another block.
  void copy(std::size_t to, const KeyBlock& from, std::size_t first,
            std::size_t count) {
    if (count == 0) return;
    std::memcpy(words() + to, from.words() + first,
                count * sizeof(std::uintptr_t));
  }

  // The first place whose tag is not below `tag`; size() if there is none. This
  // and what follows are told the size(): who knows it from elsewhere spares
  // the read of it.
  [[nodiscard]] std::size_t lower_bound(std::uint16_t tag,
                                        std::size_t count) const {
    std::size_t at = expected_place(tag, count);
    while (at > 0 && tag_at(at - 1) >= tag) --at;
    while (at < count && tag_at(at) < tag) ++at;
    return at;
  }
  // The place of what has this tag and satisfies `is_it`; size() if nothing.
  template <typename IsIt>
  [[nodiscard]] std::size_t find(std::uint16_t tag, std::size_t count,
                                 const IsIt& is_it) const {
    for (std::size_t at = lower_bound(tag, count);
         at < count && tag_at(at) == tag; ++at) {
      if (is_it(*(*this)[at])) return at;
    }
    return count;
  }
  // Begins to fetch what find() will most likely look at: the places around
  // where the tag ought to stand, one line or two.
  void prefetch(std::uint16_t tag, std::size_t count) const {
    const auto* const at = reinterpret_cast<const char*>(
        words() + expected_place(tag, count));
    __builtin_prefetch(at - kOff);
    __builtin_prefetch(at + kOff);
  }

  [[nodiscard]] RefCount& refs() const { return refs_; }

 protected:
  explicit KeyBlock(std::uint32_t count) : count_(count) {}
  ~KeyBlock() = default;

 private:
  // How far from there most of them stand, in bytes.
  static constexpr std::ptrdiff_t kOff = 32;

  static std::size_t bytes_for(std::size_t count) {
    return sizeof(KeyBlock) + count * sizeof(std::uintptr_t);
  }
  static std::size_t expected_place(std::uint16_t tag, std::size_t count) {
    return (std::size_t{tag} * count) >> 16;
  }
  [[nodiscard]] std::uint16_t tag_at(std::size_t i) const {
    return static_cast<std::uint16_t>(words()[i] >> kPointerBits);
  }
  [[nodiscard]] std::uintptr_t* words() const {
    return reinterpret_cast<std::uintptr_t*>(const_cast<KeyBlock*>(this) + 1);
  }

  mutable RefCount refs_;
  std::uint32_t count_;
};

}  // namespace fealty
