#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <vector>

#include "base/check.h"
#include "base/fd.h"
#include "base/loop.h"

namespace fealty {

// A set of short-lived descriptors inside a Loop: an epoll set of its own,
// which the loop watches as one descriptor. For connections that a peer closes
// behind its answer: libev answers the kernel's EPOLLHUP for a descriptor that
// is only read with an epoll_ctl each time (docs/decisions/0002-poller.md);
// here it simply counts as readable. Level-triggered, as libev is. One thread.
class Poller {
 public:
  class Watcher;

  // Events taken from the kernel a turn.
  static constexpr int kPerTurn = 64;

  explicit Poller(Loop& loop) : set_(::epoll_create1(EPOLL_CLOEXEC)) {
    FEALTY_CHECK(set_.valid());
    io_.bind<&Poller::on_ready>(loop, this);
    io_.start(set_.get(), EV_READ);
  }
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

 private:
  inline void on_ready(int events);

  UniqueFd set_;
  IoWatcher io_;
  std::vector<Watcher*> watchers_;  // by slot; null once destroyed
};

// Readiness of one descriptor after another; the same contract as IoWatcher.
// Must not outlive its Poller.
class Poller::Watcher {
 public:
  Watcher() = default;
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  ~Watcher() {
    if (poller_ != nullptr) poller_->watchers_[slot_] = nullptr;
  }

  // `Method` is `void (T::*)(int events)`; events are EV_READ and EV_WRITE.
  template <auto Method, typename T>
  void bind(Poller& poller, T* target) {
    FEALTY_CHECK(poller_ == nullptr);
    poller_ = &poller;
    target_ = target;
    call_ = [](void* object, int events) {
      (static_cast<T*>(object)->*Method)(events);
    };
    slot_ = static_cast<std::uint32_t>(poller.watchers_.size());
    poller.watchers_.push_back(this);
  }
  // Watches a newly opened `fd`. False where the kernel has no room for it.
  [[nodiscard]] bool start(int fd, int events) {
    fd_ = fd;
    ++generation_;
    if (control(EPOLL_CTL_ADD, events)) return true;
    stop();
    return false;
  }
  // Changes what is watched; 0 leaves it out, so that nothing of it, not even
  // its end, wakes the loop. No system call where nothing changes. (Where the
  // kernel has no room to watch it again, its owner's deadline ends the wait.)
  void want(int events) {
    if (events == events_) return;
    static_cast<void>(control(events_ == 0  ? EPOLL_CTL_ADD
            : events == 0 ? EPOLL_CTL_DEL
                          : EPOLL_CTL_MOD,
            events));
  }
  // To be followed by closing the descriptor, which takes it out of the set.
  void stop() {
    fd_ = -1;
    events_ = 0;
    ++generation_;
  }
  [[nodiscard]] bool active() const { return fd_ >= 0; }

 private:
  friend class Poller;

  [[nodiscard]] bool control(int operation, int events) {
    epoll_event event{};
    event.events = ((events & EV_READ) != 0 ? EPOLLIN : 0U) |
                   ((events & EV_WRITE) != 0 ? EPOLLOUT : 0U);
    event.data.u64 = std::uint64_t{generation_} << 32 | slot_;
    if (::epoll_ctl(poller_->set_.get(), operation, fd_, &event) != 0) {
      return false;
    }
    events_ = events;
    return true;
  }
  // What the kernel says, in the terms that were asked for: an error or the
  // end wakes whoever waits, whatever it waits for.
  void dispatch(std::uint32_t happened) {
    const bool over = (happened & (EPOLLHUP | EPOLLERR)) != 0;
    int events = 0;
    if ((happened & EPOLLIN) != 0 || over) events |= EV_READ;
    if ((happened & EPOLLOUT) != 0 || over) events |= EV_WRITE;
    call_(target_, events & events_);
  }

  Poller* poller_ = nullptr;
  void* target_ = nullptr;
  void (*call_)(void*, int) = nullptr;
  int fd_ = -1;
  int events_ = 0;
  std::uint32_t slot_ = 0;
  // Tells the events of one descriptor from those of the next one.
  std::uint32_t generation_ = 0;
};

inline void Poller::on_ready(int) {
  std::array<epoll_event, kPerTurn> events;
  const int count = ::epoll_wait(set_.get(), events.data(), kPerTurn, 0);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    const auto slot = static_cast<std::uint32_t>(event.data.u64);
    const auto generation = static_cast<std::uint32_t>(event.data.u64 >> 32);
    Watcher* const watcher = watchers_[slot];
    if (watcher == nullptr || watcher->generation_ != generation) continue;
    watcher->dispatch(event.events);
  }
}

}  // namespace fealty
