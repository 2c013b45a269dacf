#include "cli/service_manager.h"

#include <systemd/sd-daemon.h>

#include <algorithm>

namespace fealty::cli {
namespace {

void tell(const std::string& state) { ::sd_notify(0, state.c_str()); }

}  // namespace

ServiceManager::ServiceManager() {
  std::uint64_t watchdog_us = 0;
  if (::sd_watchdog_enabled(0, &watchdog_us) > 0) {
    // Half of what is granted, as systemd's manual has it.
    watchdog_ms_ = std::max<std::int64_t>(
        static_cast<std::int64_t>(watchdog_us / 2000), 1);
  }
}

void ServiceManager::ready(const std::string& status) {
  tell((ready_ ? "STATUS=" : "READY=1\nSTATUS=") + status);
  ready_ = true;
}

void ServiceManager::status(const std::string& text) const {
  tell("STATUS=" + text);
}

void ServiceManager::stopping() { tell("STOPPING=1"); }

void ServiceManager::extend_start(std::int64_t ms) const {
  tell("EXTEND_TIMEOUT_USEC=" + std::to_string(ms * 1000));
}

void ServiceManager::ping() const { tell("WATCHDOG=1"); }

}  // namespace fealty::cli
