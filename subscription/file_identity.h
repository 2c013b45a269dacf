#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <ctime>
#include <string>

namespace fealty::subscription {

// What tells one state of a file from another without reading it.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  off_t bytes = 0;
  timespec modified{};
  timespec changed{};

  static FileIdentity of(const struct stat& status) {
    return {status.st_dev, status.st_ino, status.st_size, status.st_mtim,
            status.st_ctim};
  }
  bool operator==(const FileIdentity& other) const {
    const auto same = [](const timespec& a, const timespec& b) {
      return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
    };
    return device == other.device && inode == other.inode &&
           bytes == other.bytes && same(modified, other.modified) &&
           same(changed, other.changed);
  }
};

// File times advance in ticks of the kernel's: two writes within one tick can
// look alike. What was read that soon after a change is not relied upon.
inline bool is_settled(const FileIdentity& identity) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec - identity.changed.tv_sec > 1;
}

// The first `bytes` of a file; false where there are fewer.
inline bool read_whole(int fd, std::size_t bytes, std::string& out) {
  out.resize(bytes);
  std::size_t got = 0;
  while (got < bytes) {
    const ssize_t n = ::pread(fd, out.data() + got, bytes - got,
                              static_cast<off_t>(got));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    got += static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace fealty::subscription
