#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include "base/ref.h"

namespace fealty {

// Where a key's hash leads: to one of kShards blocks, and there, by its tag, to
// a few candidates. 32,768 blocks hold some 30 keys each of a million.
inline constexpr std::size_t kShardBits = 15;
inline constexpr std::size_t kShards = std::size_t{1} << kShardBits;

[[nodiscard]] inline std::size_t shard_of(std::uint64_t hash) {
  return static_cast<std::size_t>(hash >> (64 - kShardBits));
}
[[nodiscard]] inline std::uint16_t tag_of(std::uint64_t hash) {
  return static_cast<std::uint16_t>(hash >> (64 - kShardBits - 16));
}

// A dense array of pointers, ordered by the tag of what they stand for: one
// allocation of header, tags, pointers. Tags are evenly distributed, so a
// search begins where the tag ought to stand and walks the few places that it
// is off; a miss touches the tags only. 10 bytes a key. Immutable once it was
// filled. What the pointers own is the user's business.
template <typename T>
class KeyBlock {
 public:
  // `count` places to be filled by set(). Self may be a class that adds only
  // functions.
  template <typename Self = KeyBlock>
  [[nodiscard]] static Self* make(std::size_t count) {
    static_assert(sizeof(Self) == sizeof(KeyBlock));
    void* const memory = ::operator new(bytes_for(count));
    return new (memory) Self(static_cast<std::uint32_t>(count));
  }
  // Frees the block, not what it points to.
  static void free(KeyBlock* block) { ::operator delete(block); }

  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] T* operator[](std::size_t i) const { return items()[i]; }
  void set(std::size_t i, std::uint16_t tag, T* item) {
    tags()[i] = tag;
    items()[i] = item;
  }
  // Copies `count` places of another block.
  void copy(std::size_t to, const KeyBlock& from, std::size_t first,
            std::size_t count) {
    if (count == 0) return;
    std::memcpy(tags() + to, from.tags() + first, count * sizeof(std::uint16_t));
    std::memcpy(items() + to, from.items() + first, count * sizeof(T*));
  }

  // The first place whose tag is not below `tag`; size() if there is none.
  [[nodiscard]] std::size_t lower_bound(std::uint16_t tag) const {
    const std::uint16_t* const in = tags();
    std::size_t at = (std::size_t{tag} * count_) >> 16;
    while (at > 0 && in[at - 1] >= tag) --at;
    while (at < count_ && in[at] < tag) ++at;
    return at;
  }
  // The place of what has this tag and satisfies `is_it`; size() if nothing.
  template <typename IsIt>
  [[nodiscard]] std::size_t find(std::uint16_t tag, const IsIt& is_it) const {
    for (std::size_t at = lower_bound(tag);
         at < count_ && tags()[at] == tag; ++at) {
      if (is_it(*items()[at])) return at;
    }
    return count_;
  }

  [[nodiscard]] RefCount& refs() const { return refs_; }

 protected:
  explicit KeyBlock(std::uint32_t count) : count_(count) {}
  ~KeyBlock() = default;

 private:
  static std::size_t items_offset(std::size_t count) {
    const std::size_t end = sizeof(KeyBlock) + count * sizeof(std::uint16_t);
    return (end + alignof(T*) - 1) / alignof(T*) * alignof(T*);
  }
  static std::size_t bytes_for(std::size_t count) {
    return items_offset(count) + count * sizeof(T*);
  }
  [[nodiscard]] std::uint16_t* tags() const {
    return reinterpret_cast<std::uint16_t*>(const_cast<KeyBlock*>(this) + 1);
  }
  [[nodiscard]] T** items() const {
    return reinterpret_cast<T**>(
        reinterpret_cast<char*>(const_cast<KeyBlock*>(this)) +
        items_offset(count_));
  }

  mutable RefCount refs_;
  std::uint32_t count_;
};

}  // namespace fealty
