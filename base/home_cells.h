#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace fealty {

// Memory for small objects that are looked up by hash, of which very many are
// there. Each lies, where that is free, in one of the two cells that its hash
// leads to: so who looks for it begins to fetch it before he knows whether it is
// there, while the way that tells is read; a look-up waits for memory once, not
// twice. That is a guess and never more: what is there, and where, only the way
// says. Objects that find their cells taken, and larger ones, come from Slab.
//
// The cells grow by half where three quarters are taken. What lies in the former
// ones stays there, and is fetched later than it might, until its user makes it
// anew (should_move); they are given back as they become empty.
//
// Any thread. A call takes a lock for a few instructions, or for a system call
// where cells are got or given back; prefetch() takes none. Under AddressSanitizer
// the shared() one leaves everything to Slab.
class HomeCells {
 public:
  static constexpr std::size_t kCellBytes = 64;

  // The one of this process; it lives as long as that.
  [[nodiscard]] static HomeCells& shared() { return shared_; }

  // Its current cells are the process's until that ends.
  constexpr HomeCells() = default;
  HomeCells(const HomeCells&) = delete;
  HomeCells& operator=(const HomeCells&) = delete;

  // Aligned as Slab does. Throws std::bad_alloc where there is no memory.
  [[nodiscard]] void* allocate(std::size_t bytes, std::uint64_t hash);
  // `bytes` as they were asked for.
  void free(void* object, std::size_t bytes);

  // Begins to fetch what may lie where this hash leads.
  void prefetch(std::uint64_t hash) const {
    const std::uint64_t word = current_.load(std::memory_order_relaxed);
    const std::uintptr_t pair =
        base_of(word) + pair_of(units_of(word), hash) * 2 * kCellBytes;
    __builtin_prefetch(reinterpret_cast<const void*>(pair));
    __builtin_prefetch(reinterpret_cast<const void*>(pair + kCellBytes));
  }

  // How often the cells have grown: who sees another number than before makes
  // anew, when he likes, what should_move().
  [[nodiscard]] std::uint64_t growths() const {
    return growths_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] bool should_move(const void* object, std::size_t bytes) const;

 private:
  // Cells come in units, so that a region's place and size fit into one word.
  static constexpr int kUnitBits = 16;
  static constexpr std::size_t kUnitBytes = std::size_t{1} << kUnitBits;
  static constexpr std::size_t kUnitCells = kUnitBytes / kCellBytes;
  static constexpr std::size_t kUnitsMost = kUnitBytes - 1;
  static constexpr std::size_t kRegionsMost = 32;   // 1.5^32 units are more
  static constexpr std::size_t kPause = 4096;       // after one that failed

  // The cells of one size of the whole; current is the last.
  struct Region {
    [[nodiscard]] bool holds(const std::byte* object) const {
      return object >= base && object < base + units * kUnitBytes;
    }

    std::byte* base = nullptr;
    std::size_t units = 0;
    std::size_t used = 0;                  // cells
    // Behind the cells, in the same mapping.
    std::uint64_t* taken = nullptr;        // a bit a cell
    std::uint16_t* unit_used = nullptr;    // cells of each unit
  };

  static std::uintptr_t base_of(std::uint64_t word) {
    return word & ~std::uint64_t{kUnitsMost};
  }
  static std::size_t units_of(std::uint64_t word) {
    return word & kUnitsMost;
  }
  static constexpr std::size_t mapped_bytes(std::size_t units) {
    const std::size_t behind =
        units * (kUnitCells / 8 + sizeof(std::uint16_t));
    return (units + (behind + kUnitBytes - 1) / kUnitBytes) * kUnitBytes;
  }
  // Neighbours by hash are neighbours in memory, as they are in a KeyTree.
  static std::size_t pair_of(std::size_t units, std::uint64_t hash) {
    return (hash >> 32) * (units * (kUnitCells / 2)) >> 32;
  }
  [[nodiscard]] static void* take(Region& region, std::uint64_t hash);
  [[nodiscard]] bool give_back(std::byte* object);
  void grow();

  static HomeCells shared_;

  std::atomic<std::uint64_t> current_{0};  // its base and units
  std::atomic<std::uint64_t> growths_{0};
  std::mutex mutex_;
  std::array<Region, kRegionsMost> regions_{};
  std::size_t count_ = 0;
  std::size_t pause_ = 0;                  // calls of grow() that do not try
};

}  // namespace fealty
