#pragma once

#include <cstdint>

#include "base/check.h"

namespace fealty {

// Deadlines of one kind, all of the same duration: a queue in order of arming,
// which is the order in which they pass. Arming, moving and disarming are a
// few pointer writes, so a deadline can be set anew with every byte; there is
// no heap. One thread. The owner looks at it from a coarse tick.
class DeadlineQueue;

// What is put into a queue; a member of the thing that waits. Leaves its queue
// when it is destroyed.
class Deadline {
 public:
  Deadline() = default;
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  ~Deadline() { disarm(); }

  inline void disarm();
  [[nodiscard]] bool armed() const { return queue_ != nullptr; }
  [[nodiscard]] const DeadlineQueue* queue() const { return queue_; }

 private:
  friend class DeadlineQueue;

  DeadlineQueue* queue_ = nullptr;
  Deadline* previous_ = nullptr;
  Deadline* next_ = nullptr;
  std::int64_t at_ms_ = 0;
};

class DeadlineQueue {
 public:
  explicit DeadlineQueue(std::int64_t duration_ms)
      : duration_ms_(duration_ms) {}
  DeadlineQueue(const DeadlineQueue&) = delete;
  DeadlineQueue& operator=(const DeadlineQueue&) = delete;
  ~DeadlineQueue() { FEALTY_CHECK(first_ == nullptr); }

  // Sets the deadline to `now_ms` plus the duration, out of any other queue.
  void arm(Deadline& deadline, std::int64_t now_ms) {
    deadline.disarm();
    deadline.at_ms_ = now_ms + duration_ms_;
    deadline.queue_ = this;
    deadline.previous_ = last_;
    deadline.next_ = nullptr;
    (last_ != nullptr ? last_->next_ : first_) = &deadline;
    last_ = &deadline;
  }
  // Takes out the first deadline if it has passed; null otherwise.
  [[nodiscard]] Deadline* pop_passed(std::int64_t now_ms) {
    if (first_ == nullptr || first_->at_ms_ > now_ms) return nullptr;
    Deadline* const passed = first_;
    passed->disarm();
    return passed;
  }
  // The first deadline without taking it out; null where there is none.
  [[nodiscard]] Deadline* front() const { return first_; }
  [[nodiscard]] bool empty() const { return first_ == nullptr; }
  [[nodiscard]] std::int64_t duration_ms() const { return duration_ms_; }
  // Another duration, for those that wait already too: so the order of arming
  // stays the order in which they pass.
  void set_duration(std::int64_t duration_ms) {
    const std::int64_t longer_ms = duration_ms - duration_ms_;
    duration_ms_ = duration_ms;
    if (longer_ms == 0) return;
    for (Deadline* at = first_; at != nullptr; at = at->next_) {
      at->at_ms_ += longer_ms;
    }
  }

 private:
  friend class Deadline;

  std::int64_t duration_ms_;
  Deadline* first_ = nullptr;
  Deadline* last_ = nullptr;
};

inline void Deadline::disarm() {
  if (queue_ == nullptr) return;
  (previous_ != nullptr ? previous_->next_ : queue_->first_) = next_;
  (next_ != nullptr ? next_->previous_ : queue_->last_) = previous_;
  queue_ = nullptr;
  previous_ = next_ = nullptr;
}

}  // namespace fealty
