#include "cli/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/fd.h"

namespace fealty::cli {
namespace {

constexpr mode_t kTooOpen = S_IWGRP | S_IRWXO;

Error about(const std::string& path, std::string_view why) {
  return Error{path + ": " + std::string(why)};
}

Error failed(const std::string& path, std::string_view what, int error) {
  std::string why(what);
  why += ": ";
  why += std::strerror(error);
  if (error == EACCES) {
    why += " (this process runs as uid " + std::to_string(::geteuid()) + ")";
  }
  return about(path, why);
}

Result<std::string> read_open(int fd, const std::string& path) {
  std::string text(kFileBytesMax + 1, '\0');
  std::size_t bytes = 0;
  while (bytes < text.size()) {
    const ssize_t got = ::read(fd, text.data() + bytes, text.size() - bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(path, "cannot be read", errno);
    if (got == 0) break;
    bytes += static_cast<std::size_t>(got);
  }
  if (bytes > kFileBytesMax) return about(path, "longer than 64 KiB");
  text.resize(bytes);
  return text;
}

Result<std::string> read_regular(const std::string& path, mode_t forbidden) {
  const UniqueFd fd(
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status{};
  if (!fd.valid()) return failed(path, "cannot be read", errno);
  if (::fstat(fd.get(), &status) != 0) {
    return failed(path, "cannot be looked at", errno);
  }
  if (!S_ISREG(status.st_mode)) return about(path, "not a regular file");
  if ((status.st_mode & forbidden) != 0) {
    return about(path,
                 "open to others, and whoever reads this key can sign in your "
                 "name: chmod 600 it (and make a new one if it was so for long)");
  }
  return read_open(fd.get(), path);
}

}  // namespace

Result<std::string> read_file(const std::string& path) {
  return read_regular(path, 0);
}

Result<std::string> read_private_file(const std::string& path) {
  return read_regular(path, kTooOpen);
}

}  // namespace fealty::cli
