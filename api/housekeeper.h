#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <thread>

#include "api/current_options.h"
#include "api/database.h"
#include "base/clock.h"

namespace fealty::api {

// Takes away what has had its time, once an hour, a bounded number of rows in each
// transaction, so that nobody waits long for it: answers of Idempotency-Keys,
// events, and the audit log's oldest lines. A thread of its own, while it lives.
class Housekeeper {
 public:
  Housekeeper(Database& database, const CurrentOptions& options,
              const Clock& clock);
  ~Housekeeper();
  Housekeeper(const Housekeeper&) = delete;
  Housekeeper& operator=(const Housekeeper&) = delete;

  // All of it, now. Thread-safe.
  void tidy();

 private:
  void run();
  void remove_older(std::string_view table, std::string_view key,
                    std::int64_t unix);
  [[nodiscard]] bool is_ending();

  Database& database_;
  const CurrentOptions& options_;
  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace fealty::api
