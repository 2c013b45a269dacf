#include "router/stream.h"

#include <sys/sendfile.h>

#include <cerrno>

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

}  // namespace

IoResult Stream::read(std::span<char> into) {
  return result_of(::recv(fd_.get(), into.data(), into.size(), 0));
}

IoResult Stream::write(std::span<const char> from) {
  return result_of(
      ::send(fd_.get(), from.data(), from.size(), MSG_NOSIGNAL));
}

IoResult Stream::write(const iovec* parts, int count) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts);
  message.msg_iovlen = static_cast<std::size_t>(count);
  return result_of(::sendmsg(fd_.get(), &message, MSG_NOSIGNAL));
}

IoResult Stream::send_file(int file, off_t& offset, std::size_t bytes) {
  return result_of(::sendfile(fd_.get(), file, &offset, bytes));
}

void Stream::shut_down_writing() { ::shutdown(fd_.get(), SHUT_WR); }

void Stream::reset() {
  const linger now{1, 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  fd_.reset();
}

}  // namespace fealty::router
