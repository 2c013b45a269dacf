#pragma once

#include <cstdint>
#include <ctime>

#include "base/clock.h"

namespace fealty::legion {

// The member's clock: CLOCK_BOOTTIME in milliseconds, which also counts what the
// machine slept. A Lord that was stopped, or whose host was, must see that time
// has passed. Thread-safe.
class BootClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t monotonic_ms() const override {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
  }
  [[nodiscard]] std::int64_t unix_s() const override {
    return std::int64_t{std::time(nullptr)};
  }
};

}  // namespace fealty::legion
