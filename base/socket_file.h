#pragma once

#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/address.h"
#include "base/fd.h"
#include "base/result.h"

namespace fealty {

// The file of a bound Unix socket: taken away when its owner goes, unless
// somebody has put another one in its place. Empty for abstract names and IP
// addresses. Made right after bind. Removing needs write access to the folder,
// which a process that dropped its privileges may not have.
class SocketFile {
 public:
  SocketFile() = default;
  explicit SocketFile(const Address& bound) : path_(bound.unix_path()) {
    struct stat status {};
    if (!path_.starts_with('/') || ::lstat(path_.c_str(), &status) != 0) {
      path_.clear();
      return;
    }
    device_ = status.st_dev;
    inode_ = status.st_ino;
  }
  SocketFile(SocketFile&& other) noexcept
      : path_(std::exchange(other.path_, {})), device_(other.device_),
        inode_(other.inode_) {}
  SocketFile& operator=(SocketFile&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(device_, other.device_);
    std::swap(inode_, other.inode_);
    return *this;
  }
  // It is another process's from now on.
  void leave() { path_.clear(); }
  ~SocketFile() {
    struct stat status {};
    if (!path_.empty() && ::lstat(path_.c_str(), &status) == 0 &&
        status.st_dev == device_ && status.st_ino == inode_) {
      ::unlink(path_.c_str());
    }
  }

 private:
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// Removes the file of a Unix socket that nobody listens on any more, so that it
// can be bound again; `type` is that of the socket to be. Fails where somebody
// does, or where it is something else: then it is left alone.
[[nodiscard]] inline Status remove_stale_socket(const Address& address,
                                                int type) {
  const std::string path = address.unix_path();
  const auto refused = [&](std::string_view why) {
    return Error{"cannot listen on " + path + ": " + std::string(why)};
  };
  struct stat file {};
  if (!path.starts_with('/')) return Ok{};
  if (::lstat(path.c_str(), &file) != 0) {
    if (errno == ENOENT) return Ok{};
    return refused(std::strerror(errno));
  }
  if (!S_ISSOCK(file.st_mode)) {
    return refused("it is there, and is no socket; remove it or choose another "
                   "path");
  }
  const UniqueFd probe(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!probe.valid()) return refused(std::strerror(errno));
  const bool answers =
      ::connect(probe.get(), address.data(), address.length()) == 0;
  if (!answers && errno == ENOENT) return Ok{};
  if (answers || errno == EPROTOTYPE) {
    return refused("another process is listening there; stop it or choose "
                   "another path");
  }
  if (errno != ECONNREFUSED) return refused(std::strerror(errno));
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return Ok{};
  return Error{"cannot remove stale " + path + ": " + std::strerror(errno)};
}

// The mode of a Unix socket's file that stays over a reload. Only its owner and
// root change it: not a process that dropped its privileges after it was bound.
// Where it is that mode already, nothing is done; false: errno says why.
[[nodiscard]] inline bool set_socket_mode(const std::string& path,
                                          mode_t mode) {
  constexpr mode_t kBits = 07777;
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && (status.st_mode & kBits) == mode) {
    return true;
  }
  return ::chmod(path.c_str(), mode) == 0;
}
// The same of its group, by name; "": it stays as it is.
[[nodiscard]] inline Status set_socket_group(const std::string& path,
                                             const std::string& name) {
  if (name.empty()) return Ok{};
  const group* const wanted = ::getgrnam(name.c_str());
  if (wanted == nullptr) return Error{"no group '" + name + "' on this system"};
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && status.st_gid == wanted->gr_gid) {
    return Ok{};
  }
  if (::chown(path.c_str(), static_cast<uid_t>(-1), wanted->gr_gid) == 0) {
    return Ok{};
  }
  return Error{"cannot give " + path + " to the group '" + name +
               "': " + std::strerror(errno)};
}
// Whether set_socket_mode() would fail for want of a right.
[[nodiscard]] inline bool may_set_socket_mode(const std::string& path,
                                              mode_t mode) {
  constexpr mode_t kBits = 07777;
  struct stat status {};
  return ::stat(path.c_str(), &status) != 0 ||
         (status.st_mode & kBits) == mode || ::geteuid() == 0 ||
         ::geteuid() == status.st_uid;
}

}  // namespace fealty
