#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace fealty::api {

// What takes long or much memory (argon2, the DNS) happens `at_a_time` at a time;
// as many as `waiting_max` wait for it, each holding the thread that it is on. Who
// comes beyond those is told at once, so that the other threads stay free.
// Thread-safe.
class Turns {
 public:
  Turns(std::size_t at_a_time, std::size_t waiting_max)
      : free_(at_a_time), waiting_max_(waiting_max) {}

  // Waits for a turn; false: too many wait already.
  [[nodiscard]] bool acquire() {
    std::unique_lock lock(mutex_);
    if (free_ == 0 && waiting_ >= waiting_max_) return false;
    ++waiting_;
    ended_.wait(lock, [this] { return free_ > 0; });
    --waiting_;
    --free_;
    return true;
  }
  void release() {
    {
      const std::lock_guard lock(mutex_);
      ++free_;
    }
    ended_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
  std::size_t free_;
  const std::size_t waiting_max_;
  std::size_t waiting_ = 0;
};

// One turn, given back in any case; false where there was none.
class Turn {
 public:
  explicit Turn(Turns& turns) : turns_(turns), taken_(turns.acquire()) {}
  ~Turn() {
    if (taken_) turns_.release();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  explicit operator bool() const { return taken_; }

 private:
  Turns& turns_;
  const bool taken_;
};

}  // namespace fealty::api
