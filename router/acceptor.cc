#include "router/acceptor.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

namespace fealty::router {

Acceptor::Acceptor(WorkerContext& context, WorkerListener socket,
                   OnConnection on_connection)
    : context_(context), socket_(std::move(socket)),
      on_connection_(std::move(on_connection)) {
  io_.bind<&Acceptor::on_readable>(context.nodes, this);
  pause_timer_.bind<&Acceptor::on_pause_over>(context.loop, this);
}

void Acceptor::start() {
  if (!io_.start(socket_.socket->get(), EV_READ)) pause_timer_.start(kPauseMs);
}

void Acceptor::stop() {
  if (socket_.socket == nullptr) return;
  for (int i = 0; i < kAtTheEnd && accept_one(SIZE_MAX); ++i) {
  }
  let_go();
}

void Acceptor::let_go() {
  if (io_.active()) io_.want(0);
  io_.stop();
  pause_timer_.stop();
  socket_ = {};
}

void Acceptor::on_readable(int) {
  for (int i = 0; i < kPerTurn; ++i) {
    if (!accept_one(context_.options().limits.connections)) return;
  }
}

void Acceptor::on_pause_over() {
  if (io_.active()) {
    io_.want(EV_READ);
  } else {
    start();
  }
}

void Acceptor::pause() {
  io_.want(0);
  pause_timer_.start(kPauseMs);
}

bool Acceptor::accept_one(std::size_t connections_max) {
  const std::size_t now =
      context_.shared.connections.fetch_add(1, std::memory_order_relaxed);
  if (now >= connections_max) {
    context_.shared.connections.fetch_sub(1, std::memory_order_relaxed);
    pause();
    return false;
  }
  sockaddr_storage peer{};
  socklen_t bytes = sizeof peer;
  UniqueFd fd(::accept4(socket_.socket->get(),
                        reinterpret_cast<sockaddr*>(&peer), &bytes,
                        SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd.valid()) {
    on_connection_(std::move(fd),
                   Address::from_sockaddr(reinterpret_cast<sockaddr*>(&peer),
                                          bytes),
                   socket_.listener);
    return true;
  }
  const int error = errno;
  context_.shared.connections.fetch_sub(1, std::memory_order_relaxed);
  if (error == ECONNABORTED || error == EINTR) return true;
  if (error == EAGAIN) return false;
  std::uint64_t suppressed = 0;
  if (error_log_.allow(coarse_monotonic_ms(), &suppressed)) {
    log::error("cannot accept connections: {}", std::strerror(error));
  }
  pause();
  return false;
}

}  // namespace fealty::router
