#pragma once

#include <sys/types.h>

#include "base/result.h"

namespace fealty {

// What is left of root's rights once a daemon has become another user: to open
// files for reading whoever owns them (CAP_DAC_READ_SEARCH), for one thread, and
// only while a ReadAnyFile lives. Everything else is gone for good; programs
// that are started inherit nothing.

// Becomes `uid` with `gid` (the groups are the caller's business) and keeps that
// one capability in store. Before other threads are there.
[[nodiscard]] Status become_user(uid_t uid, gid_t gid);

// The calling thread gives it up: to be called by every thread that does not
// need it. Does nothing for root.
void renounce_reading();

// The right itself, for as long as it lives; without effect where the thread
// does not have it in store.
class ReadAnyFile {
 public:
  ReadAnyFile();
  ~ReadAnyFile();
  ReadAnyFile(const ReadAnyFile&) = delete;
  ReadAnyFile& operator=(const ReadAnyFile&) = delete;

  [[nodiscard]] bool granted() const { return granted_; }

 private:
  bool granted_ = false;
};

}  // namespace fealty
