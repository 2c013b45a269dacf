#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "base/fd.h"
#include "sni/openssl.h"

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

// A nonblocking byte stream: a TCP or Unix socket, and TLS over one behind the
// same contract. One thread. A read of 0 bytes is kEnd; a write raises no
// SIGPIPE.
//
// Over TLS, bytes that were read from the socket may wait here, decrypted:
// pending() says so, and no readiness does. What would_block() left must be
// written again with the same bytes in front.
class Stream {
 public:
  Stream() = default;
  explicit Stream(UniqueFd fd) : fd_(std::move(fd)) {}
  Stream(Stream&& other) noexcept
      : fd_(std::move(other.fd_)),
        tls_(std::exchange(other.tls_, nullptr)),
        said_end_(other.said_end_) {}
  Stream& operator=(Stream&& other) noexcept {
    fd_ = std::move(other.fd_);
    tls_ = std::exchange(other.tls_, nullptr);
    said_end_ = other.said_end_;
    return *this;
  }

  // From now on through `tls`, whose handshake is done over this socket, and
  // which outlives close(): the one of an sni::Connection.
  void secure(SSL* tls) {
    tls_ = tls;
    said_end_ = false;
  }
  [[nodiscard]] bool pending() const {
    return tls_ != nullptr && SSL_pending(tls_) > 0;
  }

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool open() const { return fd_.valid(); }

  [[nodiscard]] IoResult read(std::span<char> into);
  [[nodiscard]] IoResult write(std::span<const char> from);
  // Writes the parts in order, in one call.
  [[nodiscard]] IoResult write(const iovec* parts, int count);
  // `bytes` of `file` from `offset` on, which moves.
  [[nodiscard]] IoResult send_file(int file, off_t& offset, std::size_t bytes);

  // Over TLS the peer is told that this is the end.
  void close();
  // Sends the end after what was written, and still reads.
  void shut_down_writing();
  // Closes so that the peer sees an error, never a regular end.
  void reset();

 private:
  [[nodiscard]] IoResult read_tls(std::span<char> into);
  [[nodiscard]] IoResult write_tls(const iovec* parts, int count);
  [[nodiscard]] IoResult failed_tls(int result);
  void say_end();

  UniqueFd fd_;
  SSL* tls_ = nullptr;        // null: the socket's own bytes
  bool said_end_ = false;     // close_notify went out
};

}  // namespace fealty::router
