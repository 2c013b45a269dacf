#pragma once

#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

#include "base/loop.h"

namespace fealty {

// From many threads to one: every value arrives, in order, unless kMost wait
// already. The receiver's loop is woken and calls `Method` between two turns,
// where it takes them all. The lock is held for a move only; nothing that
// happens with every request may post.
template <typename T, std::size_t kMost>
class Inbox {
 public:
  Inbox() { waiting_.reserve(kMost); }

  // On the receiver's thread, or before it starts.
  template <auto Method, typename Owner>
  void open(Loop& loop, Owner* owner) {
    wake_.template start<Method>(loop, owner);
  }
  // Any thread. False: it is full, and the value is gone.
  [[nodiscard]] bool post(T value) {
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.size() == kMost) return false;
      waiting_.push_back(std::move(value));
    }
    wake_.send();
    return true;
  }
  // The receiver's thread: swaps what has come into `out`, which is empty.
  void take(std::vector<T>& out) {
    out.reserve(kMost);
    const std::lock_guard lock(mutex_);
    waiting_.swap(out);
  }

 private:
  std::mutex mutex_;
  std::vector<T> waiting_;
  AsyncWatcher wake_;
};

}  // namespace fealty
