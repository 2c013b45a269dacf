#include "legion/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace fealty::legion {
namespace {

Error failed(const std::string& what) {
  return Error{what + ": " + std::strerror(errno)};
}

Status keep_network_capabilities() {
  __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  data[0].effective = 1U << CAP_NET_ADMIN | 1U << CAP_NET_RAW;
  data[0].permitted = data[0].effective;
  if (::syscall(SYS_capset, &head, data) != 0) {
    return failed("cannot keep CAP_NET_ADMIN and CAP_NET_RAW");
  }
  return Ok{};
}

}  // namespace

Status drop_privileges(const std::string& user) {
  if (::geteuid() != 0 || user == "root") return Ok{};
  const bool number = user.find_first_not_of("0123456789") == std::string::npos;
  const passwd* const entry =
      number ? ::getpwuid(static_cast<uid_t>(std::stoul(user)))
             : ::getpwnam(user.c_str());
  if (entry == nullptr) {
    return Error{"no user '" + user +
                 "' to become; set `user` (root must be written out)"};
  }
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 ||
      ::initgroups(entry->pw_name, entry->pw_gid) != 0 ||
      ::setgid(entry->pw_gid) != 0 || ::setuid(entry->pw_uid) != 0) {
    return failed("cannot become " + user);
  }
  Status kept = keep_network_capabilities();
  ::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
  return kept;
}

}  // namespace fealty::legion
