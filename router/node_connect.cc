#include "router/node_connect.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/check.h"
#include "base/fd.h"
#include "subscription/paths.h"

namespace fealty::router {
namespace {

int connect_plain(int fd, const Address& address) {
  return ::connect(fd, address.data(), address.length()) == 0 ? 0 : errno;
}

// EAGAIN is a full backlog to who called, and is tried again: so it is where no
// descriptor was left, which the node cannot help.
int connect_within(int fd, const std::string& path,
                   const std::string& prefix) {
  const UniqueFd file =
      subscription::open_within(path, prefix, O_PATH | O_CLOEXEC);
  if (!file.valid()) {
    return errno == EMFILE || errno == ENFILE ? EAGAIN : errno;
  }
  const auto opened =
      Address::parse("/proc/self/fd/" + std::to_string(file.get()));
  FEALTY_CHECK(opened);
  return connect_plain(fd, *opened);
}

}  // namespace

int connect_node(int fd, const Address& address,
                 const std::vector<std::string>& prefixes) {
  if (prefixes.empty() || !address.is_unix()) {
    return connect_plain(fd, address);
  }
  const std::string path = address.unix_path();
  int error = 0;
  for (const std::string& prefix : prefixes) {
    if (!subscription::path_within(path, prefix)) continue;
    error = path == prefix ? connect_plain(fd, address)
                           : connect_within(fd, path, prefix);
    if (error != EXDEV) return error;
  }
  return error == EXDEV ? error : connect_plain(fd, address);
}

}  // namespace fealty::router
