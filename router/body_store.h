#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "router/stream.h"

namespace fealty::router {

// A request body that must be whole before the node hears of it (chunked: its
// length is only known at the end). The first bytes stay in memory, the rest
// goes to a file without a name, which vanishes with its descriptor. One
// thread; writes go to the page cache.
class BodyStore {
 public:
  BodyStore(std::string temp_dir, std::size_t memory_bytes)
      : temp_dir_(std::move(temp_dir)), memory_bytes_(memory_bytes) {}

  // False where the file cannot be made or written (errno says why).
  [[nodiscard]] bool append(std::span<const char> bytes);
  [[nodiscard]] std::uint64_t size() const { return size_; }

  // Writes on from where the last call ended; kEnd once all is written.
  [[nodiscard]] IoResult write_to(Stream& stream);
  [[nodiscard]] bool all_written() const { return sent_ == size_; }
  // Begins again, for the next node.
  void rewind() { sent_ = 0; }

 private:
  [[nodiscard]] bool append_to_file(std::span<const char> bytes);

  std::string temp_dir_;           // the configuration may go before the body
  std::size_t memory_bytes_;
  std::vector<char> memory_;
  UniqueFd file_;
  std::uint64_t size_ = 0;
  std::uint64_t sent_ = 0;
};

}  // namespace fealty::router
