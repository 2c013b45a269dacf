#pragma once

#include <mutex>
#include <optional>
#include <utility>

#include "base/loop.h"

namespace fealty {

// One slot between two threads; the latest post wins. The receiver's loop is
// woken and calls `Method` between two turns, where it takes the value. The
// lock is held for a move only, and never on a request's path.
template <typename T>
class Mailbox {
 public:
  // On the receiver's thread, or before it starts.
  template <auto Method, typename Owner>
  void open(Loop& loop, Owner* owner) {
    wake_.template start<Method>(loop, owner);
  }
  // Any thread.
  void post(T value) {
    // What nobody took dies here, behind the lock: it may be large.
    std::optional<T> exchanged(std::move(value));
    {
      const std::lock_guard lock(mutex_);
      slot_.swap(exchanged);
    }
    wake_.send();
  }
  // The receiver's thread; empty if nothing came since the last take.
  [[nodiscard]] std::optional<T> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(slot_, std::nullopt);
  }

 private:
  std::mutex mutex_;
  std::optional<T> slot_;
  AsyncWatcher wake_;
};

}  // namespace fealty
