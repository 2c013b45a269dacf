#include "router/stream.h"

#include <openssl/err.h>
#include <sys/sendfile.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "sni/connection.h"

namespace fealty::router {
namespace {

IoResult result_of(ssize_t bytes) {
  if (bytes > 0) {
    return {IoResult::Kind::kBytes, static_cast<std::size_t>(bytes), 0};
  }
  if (bytes == 0) return {IoResult::Kind::kEnd, 0, 0};
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
    return {IoResult::Kind::kWouldBlock, 0, 0};
  }
  return {IoResult::Kind::kError, 0, errno};
}

constexpr std::size_t kRecordBytes = 16 * 1024;

// The next record's bytes out of the parts, of which `done` are written: of one
// part where that has enough, or else gathered, so that a head and its body go
// out in one record.
std::span<const char> next_record(const iovec* parts, int count,
                                  std::size_t done) {
  static thread_local std::array<char, kRecordBytes> gathered;
  std::size_t bytes = 0;
  for (int i = 0; i < count; ++i) {
    if (done >= parts[i].iov_len) {
      done -= parts[i].iov_len;
      continue;
    }
    const char* const from = static_cast<const char*>(parts[i].iov_base) + done;
    const std::size_t left = parts[i].iov_len - done;
    done = 0;
    if (bytes == 0 && (left >= kRecordBytes || i == count - 1)) {
      return {from, left};
    }
    const std::size_t taken = std::min(left, gathered.size() - bytes);
    std::memcpy(gathered.data() + bytes, from, taken);
    bytes += taken;
    if (bytes == gathered.size()) break;
  }
  return std::span(gathered).first(bytes);
}

}  // namespace

IoResult Stream::read(std::span<char> into) {
  if (tls_ != nullptr) return read_tls(into);
  return result_of(::recv(fd_.get(), into.data(), into.size(), 0));
}

IoResult Stream::write(std::span<const char> from) {
  if (tls_ != nullptr) {
    const iovec part{const_cast<char*>(from.data()), from.size()};
    return write_tls(&part, 1);
  }
  return result_of(
      ::send(fd_.get(), from.data(), from.size(), MSG_NOSIGNAL));
}

IoResult Stream::write(const iovec* parts, int count) {
  if (tls_ != nullptr) return write_tls(parts, count);
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts);
  message.msg_iovlen = static_cast<std::size_t>(count);
  return result_of(::sendmsg(fd_.get(), &message, MSG_NOSIGNAL));
}

IoResult Stream::send_file(int file, off_t& offset, std::size_t bytes) {
  return result_of(::sendfile(fd_.get(), file, &offset, bytes));
}

// As many records as there are bytes waiting.
IoResult Stream::read_tls(std::span<char> into) {
  std::size_t done = 0;
  while (done < into.size()) {
    std::size_t bytes = 0;
    ERR_clear_error();
    const int result =
        SSL_read_ex(tls_, into.data() + done, into.size() - done, &bytes);
    if (result != 1) {
      if (done == 0) return failed_tls(result);
      break;  // whatever it is comes again
    }
    sni::Connection::of(tls_).on_data();
    done += bytes;
    // A short record ends what came: to ask for more would be a call for
    // nothing, most times.
    if (bytes < kRecordBytes && SSL_pending(tls_) == 0) break;
  }
  return {IoResult::Kind::kBytes, done, 0};
}

IoResult Stream::write_tls(const iovec* parts, int count) {
  std::size_t done = 0;
  while (true) {
    const std::span<const char> record = next_record(parts, count, done);
    if (record.empty()) break;
    std::size_t bytes = 0;
    ERR_clear_error();
    const int result =
        SSL_write_ex(tls_, record.data(), record.size(), &bytes);
    if (result != 1) {
      if (done == 0) return failed_tls(result);
      break;
    }
    done += bytes;
  }
  return {IoResult::Kind::kBytes, done, 0};
}

// After an error of TLS or of the socket, nothing more may be said.
IoResult Stream::failed_tls(int result) {
  const int code = errno;
  switch (SSL_get_error(tls_, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      if (sni::Connection::of(tls_).orderly()) {
        return {IoResult::Kind::kWouldBlock, 0, 0};
      }
      SSL_set_quiet_shutdown(tls_, 1);
      return {IoResult::Kind::kError, 0, EPROTO};
    case SSL_ERROR_ZERO_RETURN:
      return {IoResult::Kind::kEnd, 0, 0};
    case SSL_ERROR_SYSCALL:
      SSL_set_quiet_shutdown(tls_, 1);
      return {IoResult::Kind::kError, 0, code == 0 ? ECONNRESET : code};
    default: {
      const bool ended = ERR_GET_REASON(ERR_peek_last_error()) ==
                         SSL_R_UNEXPECTED_EOF_WHILE_READING;
      SSL_set_quiet_shutdown(tls_, 1);
      ERR_clear_error();
      // An end without close_notify: HTTP's own framing tells what was whole.
      if (ended) return {IoResult::Kind::kEnd, 0, 0};
      return {IoResult::Kind::kError, 0, EPROTO};
    }
  }
}

void Stream::say_end() {
  if (tls_ == nullptr || std::exchange(said_end_, true)) return;
  ERR_clear_error();
  SSL_shutdown(tls_);  // in one write; who does not take it is not waited for
  ERR_clear_error();
}

void Stream::close() {
  say_end();
  tls_ = nullptr;
  fd_.reset();
}

void Stream::shut_down_writing() {
  say_end();
  ::shutdown(fd_.get(), SHUT_WR);
}

void Stream::reset() {
  tls_ = nullptr;
  const linger now{1, 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  fd_.reset();
}

}  // namespace fealty::router
