#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "legion/interfaces.h"

namespace fealty::legion::test {

class FakeClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t monotonic_ms() const override { return now_ms; }
  [[nodiscard]] std::int64_t unix_s() const override { return 0; }
  std::atomic<std::int64_t> now_ms{1'000'000};
};

// A kernel without lifetimes: what is asked of it is written down.
class FakeInterfaces final : public Interfaces {
 public:
  Result<bool> add(const FloatingAddress& address, std::uint32_t valid_s) override {
    if (on_add) on_add();
    const std::lock_guard lock(mutex_);
    asked_.push_back("add " + std::to_string(valid_s));
    if (refuses) return Error{"refused"};
    return there_.insert_or_assign(address.to_string(), valid_s).second;
  }
  Status remove(const FloatingAddress& address) override {
    if (on_remove) on_remove();
    const std::lock_guard lock(mutex_);
    asked_.push_back("remove");
    if (refuses_removal) return Error{"refused"};
    there_.erase(address.to_string());
    return Ok{};
  }
  std::uint32_t lifetime_s(const FloatingAddress& address) override {
    const std::lock_guard lock(mutex_);
    const auto found = there_.find(address.to_string());
    return found == there_.end() ? 0 : found->second;
  }
  Status tell_neighbours(const FloatingAddress&) override {
    const std::lock_guard lock(mutex_);
    asked_.push_back("tell");
    return Ok{};
  }

  void set(const FloatingAddress& address, std::uint32_t lifetime_s) {
    const std::lock_guard lock(mutex_);
    there_[address.to_string()] = lifetime_s;
  }
  void lose(const FloatingAddress& address) {
    const std::lock_guard lock(mutex_);
    there_.erase(address.to_string());
  }
  [[nodiscard]] bool has(const FloatingAddress& address) {
    const std::lock_guard lock(mutex_);
    return there_.contains(address.to_string());
  }
  [[nodiscard]] std::vector<std::string> asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

  std::atomic<bool> refuses{false};
  std::atomic<bool> refuses_removal{false};
  std::function<void()> on_add;       // set before any thread asks
  std::function<void()> on_remove;

 private:
  std::mutex mutex_;
  std::map<std::string, std::uint32_t> there_;    // and for how long
  std::vector<std::string> asked_;
};

}  // namespace fealty::legion::test
