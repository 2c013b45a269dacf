#pragma once

#include <ctime>

#include <cstdint>

namespace fealty {

// The two clocks that the programs read, injected so that tests own time.
// Thread-safe if the implementation is; SystemClock is.
class Clock {
 public:
  virtual ~Clock() = default;
  // Milliseconds of a clock that never goes back; only differences mean
  // something. Timers, expiry and back-off use this one.
  [[nodiscard]] virtual std::int64_t monotonic_ms() const = 0;
  // Seconds since 1970, as the peers' stamps are. May jump.
  [[nodiscard]] virtual std::int64_t unix_s() const = 0;
};

// The coarse monotonic clock (some 4 ms of resolution, a few nanoseconds to
// read): what the data plane measures its deadlines with.
[[nodiscard]] inline std::int64_t coarse_monotonic_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

// Seconds since 1970.
[[nodiscard]] inline std::int64_t system_unix_s() {
  return std::int64_t{std::time(nullptr)};
}

class SystemClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t monotonic_ms() const override {
    return coarse_monotonic_ms();
  }
  [[nodiscard]] std::int64_t unix_s() const override {
    return system_unix_s();
  }
};

}  // namespace fealty
