#include "cli/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "base/fd.h"

namespace fealty::cli {
namespace {

constexpr mode_t kTooOpen = S_IWGRP | S_IRWXO;
constexpr mode_t kNotOwn = S_IRWXG | S_IRWXO;
constexpr const char* kKeyIsOpen =
    "open to others, and whoever reads this key can sign in your name: chmod "
    "600 it (and make a new one if it was so for long)";
constexpr const char* kPasswordIsOpen =
    "open to others, and it holds passwords: chmod 600 it (and change them if "
    "it was so for long)";

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

Result<std::string> read_regular(const std::string& path, mode_t forbidden = 0,
                                 const char* why = "", bool own = false) {
  const UniqueFd fd(
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status{};
  if (!fd.valid()) return failed(path, "cannot be read", errno);
  if (::fstat(fd.get(), &status) != 0) {
    return failed(path, "cannot be looked at", errno);
  }
  if (!S_ISREG(status.st_mode)) return about(path, "not a regular file");
  if ((status.st_mode & forbidden) != 0) return about(path, why);
  if (own && status.st_uid != ::geteuid()) {
    return about(path, "somebody else's file");
  }
  return read_open(fd.get(), path);
}

// A new file beside `path`, and its name.
Result<UniqueFd> open_beside(const std::string& path, std::string& name) {
  name = path + ".XXXXXX";
  UniqueFd fd(::mkostemp(name.data(), O_CLOEXEC));     // 0600
  if (!fd.valid()) return failed(path, "cannot be written", errno);
  return fd;
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return true;
}

}  // namespace

Result<std::string> read_file(const std::string& path) {
  return read_regular(path);
}

Result<std::string> read_private_file(const std::string& path) {
  return read_regular(path, kTooOpen, kKeyIsOpen);
}

Result<std::string> read_own_file(const std::string& path) {
  return read_regular(path, kNotOwn, kPasswordIsOpen, true);
}

Status replace_own_file(const std::string& path, std::string_view text) {
  std::string name;
  auto file = open_beside(path, name);
  if (!file) return file.error();
  if (write_all(file->get(), text) && ::fsync(file->get()) == 0 &&
      ::rename(name.c_str(), path.c_str()) == 0) {
    return Ok{};
  }
  const int error = errno;
  ::unlink(name.c_str());
  return failed(path, "cannot be written", error);
}

Status make_folders_of(const std::string& path) {
  for (std::size_t at = path.find('/', 1); at != path.npos;
       at = path.find('/', at + 1)) {
    const std::string folder = path.substr(0, at);
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
      return failed(folder, "cannot be made", errno);
    }
  }
  return Ok{};
}

}  // namespace fealty::cli
