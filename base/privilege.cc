#include "base/privilege.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

namespace fealty {
namespace {

constexpr __u32 kReading = 1U << CAP_DAC_READ_SEARCH;

using Sets = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

// Of the calling thread.
bool get_sets(Sets& sets) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  return ::syscall(SYS_capget, &header, sets.data()) == 0;
}
bool set_sets(const Sets& sets) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  return ::syscall(SYS_capset, &header, sets.data()) == 0;
}

}  // namespace

Status become_user(uid_t uid, gid_t gid) {
  const auto failed = [] { return Error{std::strerror(errno)}; };
  if (::prctl(PR_SET_KEEPCAPS, 1) != 0 || ::setgid(gid) != 0 ||
      ::setuid(uid) != 0) {
    return failed();
  }
  ::prctl(PR_SET_KEEPCAPS, 0);
  // A system may have taken it away from root: then files are read by the rights
  // of the user.
  Sets sets{};
  if (!get_sets(sets)) return failed();
  const __u32 kept = sets[0].permitted & kReading;
  sets = {};
  sets[0].permitted = kept;
  return set_sets(sets) ? Status(Ok{}) : Status(failed());
}

void renounce_reading() {
  if (::geteuid() == 0) return;
  set_sets({});
}

ReadAnyFile::ReadAnyFile() {
  Sets sets{};
  if (!get_sets(sets) || (sets[0].permitted & kReading) == 0) return;
  if ((sets[0].effective & kReading) != 0) return;   // not ours to take back
  sets[0].effective |= kReading;
  granted_ = set_sets(sets);
}

ReadAnyFile::~ReadAnyFile() {
  Sets sets{};
  if (!granted_ || !get_sets(sets)) return;
  sets[0].effective &= ~kReading;
  set_sets(sets);
}

}  // namespace fealty
