#include "conf/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/fd.h"
#include "conf/document.h"

namespace fealty::conf {

std::string folder_of(const std::string& file_name) {
  std::error_code error;
  auto path = std::filesystem::absolute(file_name, error);
  if (error) path = "/";
  return path.parent_path().string();
}

Result<std::string> read_file(const std::string& path) {
  const auto failed = [&](int code) {
    return Error{path + ": cannot be read: " + std::strerror(code)};
  };
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd.valid()) return failed(errno);
  std::string text;
  std::array<char, 16 * 1024> chunk{};
  while (text.size() <= kFileBytesMax) {
    const ssize_t got = ::read(fd.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(errno);
    if (got == 0) break;
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
  return text;
}

}  // namespace fealty::conf
