#include "cli/client/watchdog.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>

namespace fealty::cli {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

Watchdog::Watchdog(std::int64_t limit_ms, std::uint64_t bytes_max)
    : bytes_max_(bytes_max), thread_([this, limit_ms] { run(limit_ms); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    is_done_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Watchdog::watch(int socket) {
  const std::lock_guard lock(mutex_);
  socket_.reset(::fcntl(socket, F_DUPFD_CLOEXEC, 0));
  if (is_over_) ::shutdown(socket_.get(), SHUT_RDWR);
}

// Of Unix sockets it is not known: those who listen there are trusted.
bool Watchdog::brings_too_much() const {
  tcp_info info{};
  socklen_t bytes = sizeof info;
  return socket_.valid() &&
         ::getsockopt(socket_.get(), IPPROTO_TCP, TCP_INFO, &info, &bytes) ==
             0 &&
         info.tcpi_bytes_received > bytes_max_;
}

void Watchdog::run(std::int64_t limit_ms) {
  constexpr milliseconds kLook(50);
  const auto end = steady_clock::now() + milliseconds(limit_ms);
  std::unique_lock lock(mutex_);
  while (!is_over_) {
    if (changed_.wait_until(lock, std::min(end, steady_clock::now() + kLook),
                            [this] { return is_done_; })) {
      return;
    }
    is_over_ = steady_clock::now() >= end || brings_too_much();
  }
  if (socket_.valid()) ::shutdown(socket_.get(), SHUT_RDWR);
}

}  // namespace fealty::cli
