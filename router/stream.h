#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/fd.h"

namespace fealty::router {

// What one read or write did. Would-block and the end are values.
struct IoResult {
  enum class Kind : std::uint8_t { kBytes, kWouldBlock, kEnd, kError };
  Kind kind = Kind::kWouldBlock;
  std::size_t bytes = 0;      // kBytes only
  int error = 0;              // errno, kError only

  [[nodiscard]] bool ok() const { return kind == Kind::kBytes; }
  [[nodiscard]] bool would_block() const { return kind == Kind::kWouldBlock; }
  [[nodiscard]] bool end() const { return kind == Kind::kEnd; }
};

// A nonblocking byte stream: a TCP or Unix socket. TLS joins behind the same
// contract. One thread. A read of 0 bytes is kEnd; a write raises no SIGPIPE.
class Stream {
 public:
  Stream() = default;
  explicit Stream(UniqueFd fd) : fd_(std::move(fd)) {}

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool open() const { return fd_.valid(); }

  [[nodiscard]] IoResult read(std::span<char> into);
  [[nodiscard]] IoResult write(std::span<const char> from);
  // Writes the parts in order, in one call.
  [[nodiscard]] IoResult write(const iovec* parts, int count);
  // `bytes` of `file` from `offset` on, which moves.
  [[nodiscard]] IoResult send_file(int file, off_t& offset, std::size_t bytes);

  void close() { fd_.reset(); }
  // Sends the end after what was written, and still reads.
  void shut_down_writing();
  // Closes so that the peer sees an error, never a regular end.
  void reset();

 private:
  UniqueFd fd_;
};

}  // namespace fealty::router
