#pragma once

#include <cstdint>
#include <string>

namespace fealty::cli {

// systemd's side of us (Type=notify): states go to the socket in NOTIFY_SOCKET;
// without it, all of this does nothing.
class ServiceManager {
 public:
  ServiceManager();

  // Once; further calls only change the status.
  void ready(const std::string& status);
  void status(const std::string& text) const;
  void stopping();
  // We are still starting, for reasons outside: give us so much more time.
  void extend_start(std::int64_t ms) const;
  // The service is alive. To be called every watchdog_ms(), where that is not 0.
  void ping() const;
  [[nodiscard]] std::int64_t watchdog_ms() const { return watchdog_ms_; }
  [[nodiscard]] bool is_ready() const { return ready_; }

 private:
  std::int64_t watchdog_ms_ = 0;
  bool ready_ = false;
};

}  // namespace fealty::cli
