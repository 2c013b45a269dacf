#pragma once

#include <array>
#include <cstddef>
#include <mutex>

namespace fealty {

// Memory for very many small objects that are looked up at random: those of one
// size lie side by side, with no header between them and apart from whatever
// else the process allocates, so that a lookup finds more of its way in the
// caches and needs fewer page table entries. Any thread; a call takes the lock
// of one size for a few instructions. What was freed is used again for the same
// size and never goes back to the system. Larger objects, and all of them under
// a sanitizer, come from operator new.
class Slab {
 public:
  static constexpr std::size_t kBytesMost = 512;
  static constexpr std::size_t kAlignment = 16;

  // The one of this process; it lives as long as that.
  [[nodiscard]] static Slab& shared();

  // Aligned to kAlignment. Throws std::bad_alloc where there is no memory.
  [[nodiscard]] void* allocate(std::size_t bytes);
  // `bytes` as they were asked for.
  void free(void* object, std::size_t bytes);

 private:
  static constexpr std::size_t kPieceBytes = std::size_t{64} << 10;
  static constexpr std::size_t kChunkBytesMost = std::size_t{2} << 20;

  struct Free {
    Free* next;
  };
  struct Size {
    std::mutex mutex;
    Free* free = nullptr;
    std::byte* next = nullptr;             // of the piece that is being used up
    std::byte* end = nullptr;
  };
  // What the sizes take pieces from: one for all, so that small sizes too lie in
  // huge pages.
  struct Chunk {
    std::mutex mutex;
    std::byte* next = nullptr;
    std::byte* end = nullptr;
    std::size_t bytes = kPieceBytes;       // of the next one
  };
  Slab() = default;
  [[nodiscard]] Size& size_of(std::size_t bytes) {
    return sizes_[(bytes - 1) / kAlignment];
  }
  [[nodiscard]] std::byte* take_piece();

  std::array<Size, kBytesMost / kAlignment> sizes_;
  Chunk chunk_;
};

}  // namespace fealty
