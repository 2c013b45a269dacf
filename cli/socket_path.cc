#include "cli/socket_path.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/fd.h"

namespace fealty::cli {
namespace {

// 0, or the errno of connecting; EINPROGRESS where it is not known at once,
// which on this host it is.
int connect_error(const Address& address) {
  const UniqueFd fd(::socket(address.family(),
                             SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return errno;
  if (::connect(fd.get(), address.data(), address.length()) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  int error = 0;
  socklen_t size = sizeof error;
  pollfd connecting{fd.get(), POLLOUT, 0};
  if (::poll(&connecting, 1, 0) <= 0) return EINPROGRESS;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

std::string octal(mode_t mode) {
  std::string text = "0000";
  for (std::size_t at = text.size(); at-- > 0; mode >>= 3) {
    text[at] = static_cast<char>('0' + (mode & 7));
  }
  return text;
}

}  // namespace

bool is_path(const Address& address) {
  return address.unix_path().starts_with('/');
}

bool answers_now(const Address& address) {
  return connect_error(address) == 0;
}

bool remove_dead_socket(const Address& address) {
  struct stat status{};
  const std::string path = address.unix_path();
  return is_path(address) && ::lstat(path.c_str(), &status) == 0 &&
         S_ISSOCK(status.st_mode) && connect_error(address) == ECONNREFUSED &&
         ::unlink(path.c_str()) == 0;
}

Status set_mode(const Address& address, std::optional<mode_t> mode) {
  const std::string path = address.unix_path();
  if (!mode || !is_path(address) || ::chmod(path.c_str(), *mode) == 0) {
    return Ok{};
  }
  return Error{path + " cannot get mode " + octal(*mode) + ": " +
               std::strerror(errno)};
}

std::string mode_problem(const Address& address) {
  struct stat status{};
  const std::string path = address.unix_path();
  if (!is_path(address) || ::stat(path.c_str(), &status) != 0 ||
      (status.st_mode & S_IWOTH) != 0) {
    return {};
  }
  return path + " has mode " + octal(status.st_mode & 0777) +
         ": a router that runs neither as root, nor as its owner, nor in its "
         "group cannot connect (--chmod-socket 666)";
}

}  // namespace fealty::cli
