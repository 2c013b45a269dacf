#include "subscription/paths.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace fealty::subscription {
namespace {

// What of `path` is left below `prefix`.
std::string_view below(std::string_view path, std::string_view prefix) {
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  return path.substr(std::min(prefix.size() + 1, path.size()));
}

// EAGAIN: something was renamed on the way, and the kernel could not tell
// whether the path stayed below.
UniqueFd open_below(int directory, const std::string& path, int flags) {
  constexpr int kAttempts = 3;
  open_how how{};
  how.flags = static_cast<unsigned>(flags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  for (int i = 0; i < kAttempts; ++i) {
    const long fd = ::syscall(SYS_openat2, directory, path.c_str(), &how,
                              sizeof how);
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return {};
}

}  // namespace

bool is_plain_path(std::string_view path) {
  if (!path.starts_with('/') || path.size() < 2) return false;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view part = path.substr(0, path.find('/'));
    if (part.empty() || part == "." || part == "..") return false;
    path.remove_prefix(part.size());
  }
  return true;
}

bool path_within(std::string_view path, std::string_view prefix) {
  if (prefix.empty()) return false;
  if (prefix.front() == '@') return path.starts_with(prefix);
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  return path.starts_with(prefix) &&
         (path.size() == prefix.size() || path[prefix.size()] == '/');
}

UniqueFd open_within(std::string_view path, const std::string& prefix,
                     int flags) {
  const UniqueFd directory(
      ::open(prefix.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return {};
  return open_below(directory.get(), std::string(below(path, prefix)), flags);
}

bool stays_within(std::string_view path, const std::string& prefix) {
  const bool unbounded = prefix.find_first_not_of('/') == prefix.npos ||
                         prefix.front() == '@' || path == prefix;
  if (unbounded) return true;
  return open_within(path, prefix, O_PATH | O_CLOEXEC).valid() ||
         errno == ENOENT;
}

}  // namespace fealty::subscription
