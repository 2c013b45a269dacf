#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "base/fd.h"

namespace fealty::cli {

// Ends a connection that lasts longer, or brings more, than it may: whoever
// answers a byte at a time, or headers without end, holds nobody up. Whoever
// reads from it is woken, and finds it at its end.
class Watchdog {
 public:
  Watchdog(std::int64_t limit_ms, std::uint64_t bytes_max);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // The connection; the one before is left alone.
  void watch(int socket);

 private:
  void run(std::int64_t limit_ms);
  [[nodiscard]] bool brings_too_much() const;

  const std::uint64_t bytes_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  UniqueFd socket_;              // an own copy
  bool is_over_ = false;
  bool is_done_ = false;
  std::thread thread_;
};

}  // namespace fealty::cli
