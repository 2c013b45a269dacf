#pragma once

#include <memory>
#include <mutex>
#include <utility>

#include "api/options.h"

namespace fealty::api {

// The configuration that counts now; a reload publishes another. A request keeps
// the one that it began with. Thread-safe.
class CurrentOptions {
 public:
  using Snapshot = std::shared_ptr<const Options>;

  explicit CurrentOptions(Options options)
      : options_(std::make_shared<const Options>(std::move(options))) {}

  [[nodiscard]] Snapshot get() const {
    const std::lock_guard lock(mutex_);
    return options_;
  }
  void publish(Options options) {
    auto next = std::make_shared<const Options>(std::move(options));
    const std::lock_guard lock(mutex_);
    options_.swap(next);
  }

 private:
  mutable std::mutex mutex_;
  Snapshot options_;
};

}  // namespace fealty::api
