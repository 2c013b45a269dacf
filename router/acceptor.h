#pragma once

#include <functional>
#include <utility>

#include "base/address.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/poller.h"
#include "router/listener.h"
#include "router/worker_context.h"

namespace fealty::router {

// Takes connections off one listening socket: a bounded number a turn, none
// beyond limits.connections (they wait in the kernel's queue), and none for a
// moment where descriptors have run out. One thread: its worker's.
class Acceptor {
 public:
  // Given the connection, the peer, and what the listener says of both.
  using OnConnection =
      std::function<void(UniqueFd, const Address&, const ListenerPtr&)>;

  Acceptor(WorkerContext& context, WorkerListener socket,
           OnConnection on_connection);

  void start();
  // Takes what is queued already, whatever limits.connections says: it would be
  // reset. Then lets go of the socket.
  void stop();
  // Lets go of it at once: others accept from it.
  void let_go();

  [[nodiscard]] bool is_on(const WorkerListener& other) const {
    return socket_.socket == other.socket;
  }
  // What the next connections are accepted under.
  void set_listener(ListenerPtr listener) {
    socket_.listener = std::move(listener);
  }

 private:
  static constexpr int kPerTurn = 64;
  static constexpr std::int64_t kPauseMs = 50;
  // At its end: more than any queue holds.
  static constexpr int kAtTheEnd = 8192;

  void on_readable(int events);
  void on_pause_over();
  void pause();
  // False: nothing was there, or nothing may be taken now.
  [[nodiscard]] bool accept_one(std::size_t connections_max);

  WorkerContext& context_;
  WorkerListener socket_;
  OnConnection on_connection_;
  // Taken out of the set by name, not by closing the socket: after an upgrade the
  // successor has it open, and it would go on waking this process.
  Poller::Watcher io_;
  TimerWatcher pause_timer_;
  log::Limiter error_log_{10'000};
};

}  // namespace fealty::router
