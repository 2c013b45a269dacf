#include "base/home_cells.h"

#include <sys/mman.h>

#include <algorithm>
#include <type_traits>
#include <utility>

#include "base/check.h"
#include "base/sanitized.h"
#include "base/slab.h"

namespace fealty {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

// `bytes` of zeros at a multiple of `alignment`; null: there is no memory.
std::byte* map(std::size_t bytes, std::size_t alignment) {
  void* const mapped =
      ::mmap(nullptr, bytes + alignment, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  auto* const begin = static_cast<std::byte*>(mapped);
  const std::size_t before =
      (alignment - reinterpret_cast<std::uintptr_t>(begin) % alignment) %
      alignment;
  if (before != 0) ::munmap(begin, before);
  if (before != alignment) {
    ::munmap(begin + before + bytes, alignment - before);
  }
  return begin + before;
}

}  // namespace

constinit HomeCells HomeCells::shared_;
// Objects outlive static destructors.
static_assert(std::is_trivially_destructible_v<HomeCells>);

void* HomeCells::allocate(std::size_t bytes, std::uint64_t hash) {
  const bool may =
      bytes <= kCellBytes && !(kAddressSanitized && this == &shared_);
  if (may) {
    const std::lock_guard lock(mutex_);
    if (count_ == 0) grow();
    if (count_ != 0) {
      Region& current = regions_[count_ - 1];
      void* const object = take(current, hash);
      if (current.used * 4 > current.units * kUnitCells * 3) grow();
      if (object != nullptr) return object;
    }
  }
  return Slab::shared().allocate(bytes);
}

void HomeCells::free(void* object, std::size_t bytes) {
  if (bytes <= kCellBytes && give_back(static_cast<std::byte*>(object))) return;
  Slab::shared().free(object, bytes);
}

bool HomeCells::should_move(const void* object, std::size_t bytes) const {
  const std::uint64_t word = current_.load(std::memory_order_relaxed);
  const auto at = reinterpret_cast<std::uintptr_t>(object);
  return word != 0 && bytes <= kCellBytes &&
         at - base_of(word) >= units_of(word) * kUnitBytes;
}

void* HomeCells::take(Region& region, std::uint64_t hash) {
  const std::size_t first = pair_of(region.units, hash) * 2;
  for (std::size_t cell = first; cell < first + 2; ++cell) {
    std::uint64_t& bits = region.taken[cell / 64];
    const std::uint64_t bit = std::uint64_t{1} << cell % 64;
    if ((bits & bit) != 0) continue;
    bits |= bit;
    ++region.used;
    ++region.unit_used[cell / kUnitCells];
    return region.base + cell * kCellBytes;
  }
  return nullptr;
}

// False: it is none of the cells.
bool HomeCells::give_back(std::byte* object) {
  if (current_.load(std::memory_order_relaxed) == 0) return false;
  std::unique_lock lock(mutex_);
  const auto end = regions_.begin() + static_cast<std::ptrdiff_t>(count_);
  const auto region =
      std::find_if(regions_.begin(), end,
                   [&](const Region& each) { return each.holds(object); });
  if (region == end) return false;
  const auto cell =
      static_cast<std::size_t>(object - region->base) / kCellBytes;
  const std::size_t unit = cell / kUnitCells;
  const std::uint64_t bit = std::uint64_t{1} << cell % 64;
  FEALTY_CHECK((region->taken[cell / 64] & bit) != 0);
  region->taken[cell / 64] &= ~bit;
  --region->used;
  --region->unit_used[unit];
  if (region + 1 == end) return true;
  if (region->used == 0) {
    const Region gone = std::exchange(*region, {});
    lock.unlock();
    ::munmap(gone.base, mapped_bytes(gone.units));
  } else if (region->unit_used[unit] == 0) {
    ::madvise(region->base + unit * kUnitBytes, kUnitBytes, MADV_DONTNEED);
  }
  return true;
}

// Where that cannot be, things stay as they are.
void HomeCells::grow() {
  const std::size_t before = count_ == 0 ? 0 : regions_[count_ - 1].units;
  const std::size_t units = before + std::max<std::size_t>(1, before / 2);
  if (units > kUnitsMost || count_ == kRegionsMost) return;
  if (pause_ > 0) {
    --pause_;
    return;
  }
  const std::size_t bytes = units * kUnitBytes;
  std::byte* const base =
      map(mapped_bytes(units), bytes < kHugePage ? kUnitBytes : kHugePage);
  if (base == nullptr) {
    pause_ = kPause;
    return;
  }
  if (bytes >= kHugePage) ::madvise(base, bytes, MADV_HUGEPAGE);
  Region& region = regions_[count_++];
  region.base = base;
  region.units = units;
  region.taken = reinterpret_cast<std::uint64_t*>(base + bytes);
  region.unit_used = reinterpret_cast<std::uint16_t*>(
      base + bytes + units * (kUnitCells / 8));
  current_.store(reinterpret_cast<std::uintptr_t>(base) | units,
                 std::memory_order_relaxed);
  if (before != 0) growths_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace fealty
