#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "base/address.h"

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
// Whether that would fail for want of a right.
[[nodiscard]] inline bool may_set_socket_mode(const std::string& path,
                                              mode_t mode) {
  constexpr mode_t kBits = 07777;
  struct stat status {};
  return ::stat(path.c_str(), &status) != 0 ||
         (status.st_mode & kBits) == mode || ::geteuid() == 0 ||
         ::geteuid() == status.st_uid;
}

}  // namespace fealty
