#pragma once

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

namespace fealty {

// A descriptor, closed on exec, that becomes readable when `pid`, a child that
// nobody has reaped, ends (pidfd_open(2), Linux 5.3). Empty, with errno set, where
// the kernel has none to give.
inline UniqueFd open_pidfd(pid_t pid) {
  const int raw = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
#if defined(__SANITIZE_THREAD__)
  // ThreadSanitizer does not see the call, and takes the number for the descriptor
  // that had it last, which another thread may have used. It sees dup(2).
  if (raw < 0) return UniqueFd();
  UniqueFd seen(::dup(raw));
  ::syscall(SYS_close, raw);
  if (seen.valid()) ::fcntl(seen.get(), F_SETFD, FD_CLOEXEC);
  return seen;
#else
  return UniqueFd(raw);
#endif
}

}  // namespace fealty
