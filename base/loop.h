#pragma once

#include <ev.h>

#include <cstdint>

#include "base/check.h"

namespace fealty {

// RAII around libev. A Loop belongs to one thread; so does every watcher bound
// to it, but for AsyncWatcher::send, which any thread may call. A watcher
// stops when it is destroyed, and must not outlive its loop. Callbacks are
// member functions named at compile time: no allocation, one indirect call.
class Loop {
 public:
  // How the signals come that a loop's watchers wait for: to a handler, on
  // whichever thread the kernel chose, or by signalfd(2). Those of a
  // descriptor are blocked in the thread that starts the watcher; a thread
  // begun before, which does not block them, would end the process.
  enum class Signals { kHandler, kDescriptor };

  // libev's clock cache is refreshed once a turn; the epoll backend is asked
  // for because the data plane counts on its descriptors leaving the set when
  // they are closed.
  explicit Loop(Signals signals = Signals::kHandler)
      : loop_(ev_loop_new(
            unsigned{EVBACKEND_EPOLL} | unsigned{EVFLAG_NOENV} |
            (signals == Signals::kDescriptor ? unsigned{EVFLAG_SIGNALFD}
                                             : 0U))) {
    FEALTY_CHECK(loop_ != nullptr);
  }
  ~Loop() { ev_loop_destroy(loop_); }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  [[nodiscard]] struct ev_loop* raw() const { return loop_; }
  // Until stop() is called or no watcher is left.
  void run() { ev_run(loop_, 0); }
  void run_once() { ev_run(loop_, EVRUN_ONCE); }
  void run_nowait() { ev_run(loop_, EVRUN_NOWAIT); }
  void stop() { ev_break(loop_, EVBREAK_ALL); }

 private:
  struct ev_loop* loop_;
};

// Readiness of one descriptor, which must stay open while the watcher runs.
class IoWatcher {
 public:
  IoWatcher() = default;
  IoWatcher(const IoWatcher&) = delete;
  IoWatcher& operator=(const IoWatcher&) = delete;
  ~IoWatcher() { stop(); }

  // `Method` is `void (T::*)(int events)`; events are EV_READ and EV_WRITE.
  template <auto Method, typename T>
  void bind(Loop& loop, T* target) {
    loop_ = loop.raw();
    ev_init(&io_, [](struct ev_loop*, ev_io* io, int events) {
      (static_cast<T*>(io->data)->*Method)(events);
    });
    io_.data = target;
  }
  // Watches a newly opened `fd`: always tells the kernel, since the same
  // number may have been another descriptor a moment ago.
  void start(int fd, int events) {
    stop();
    ev_io_set(&io_, fd, events);
    ev_io_start(loop_, &io_);
  }
  // Changes what is watched of the same descriptor; 0 stops. No system call
  // where nothing changes.
  void want(int events) {
    const int now =
        ev_is_active(&io_) ? (io_.events & (EV_READ | EV_WRITE)) : 0;
    if (now == events) return;
    if (now != 0) ev_io_stop(loop_, &io_);
    if (events == 0) return;
    ev_io_modify(&io_, events);
    ev_io_start(loop_, &io_);
  }
  void stop() {
    if (loop_ != nullptr) ev_io_stop(loop_, &io_);
  }
  // The callback comes as if the kernel had said so, in this turn of the loop;
  // not if the watcher is stopped, or watches something else, before that.
  void feed(int events) { ev_feed_event(loop_, &io_, events); }
  [[nodiscard]] bool active() const { return ev_is_active(&io_); }
  [[nodiscard]] bool watches(int event) const {
    return ev_is_active(&io_) && (io_.events & event) != 0;
  }

 private:
  struct ev_loop* loop_ = nullptr;
  ev_io io_{};
};

// One shot or repeating, in milliseconds from now.
class TimerWatcher {
 public:
  TimerWatcher() = default;
  TimerWatcher(const TimerWatcher&) = delete;
  TimerWatcher& operator=(const TimerWatcher&) = delete;
  ~TimerWatcher() { stop(); }

  // `Method` is `void (T::*)()`.
  template <auto Method, typename T>
  void bind(Loop& loop, T* target) {
    loop_ = loop.raw();
    ev_init(&timer_, [](struct ev_loop*, ev_timer* timer, int) {
      (static_cast<T*>(timer->data)->*Method)();
    });
    timer_.data = target;
  }
  void start(std::int64_t after_ms, std::int64_t repeat_ms = 0) {
    stop();
    ev_timer_set(&timer_, static_cast<double>(after_ms) / 1000.0,
                 static_cast<double>(repeat_ms) / 1000.0);
    ev_timer_start(loop_, &timer_);
  }
  void stop() {
    if (loop_ != nullptr) ev_timer_stop(loop_, &timer_);
  }
  [[nodiscard]] bool active() const { return ev_is_active(&timer_); }

 private:
  struct ev_loop* loop_ = nullptr;
  ev_timer timer_{};
};

// A signal, delivered between two turns of the loop. One loop a process may
// watch a given signal.
class SignalWatcher {
 public:
  SignalWatcher() = default;
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;
  ~SignalWatcher() {
    if (loop_ != nullptr) ev_signal_stop(loop_, &signal_);
  }

  // `Method` is `void (T::*)(int signal)`.
  template <auto Method, typename T>
  void start(Loop& loop, T* target, int signal) {
    loop_ = loop.raw();
    ev_signal_init(
        &signal_,
        [](struct ev_loop*, ev_signal* watcher, int) {
          (static_cast<T*>(watcher->data)->*Method)(watcher->signum);
        },
        signal);
    signal_.data = target;
    ev_signal_start(loop_, &signal_);
  }

 private:
  struct ev_loop* loop_ = nullptr;
  ev_signal signal_{};
};

// Wakes a loop from another thread. Several sends may become one call.
class AsyncWatcher {
 public:
  AsyncWatcher() = default;
  AsyncWatcher(const AsyncWatcher&) = delete;
  AsyncWatcher& operator=(const AsyncWatcher&) = delete;
  ~AsyncWatcher() {
    if (loop_ != nullptr) ev_async_stop(loop_, &async_);
  }

  // `Method` is `void (T::*)()`. Before the loop's thread starts, or on it.
  template <auto Method, typename T>
  void start(Loop& loop, T* target) {
    loop_ = loop.raw();
    ev_async_init(&async_, [](struct ev_loop*, ev_async* watcher, int) {
      (static_cast<T*>(watcher->data)->*Method)();
    });
    async_.data = target;
    ev_async_start(loop_, &async_);
  }
  void send() { ev_async_send(loop_, &async_); }

 private:
  struct ev_loop* loop_ = nullptr;
  ev_async async_{};
};

}  // namespace fealty
