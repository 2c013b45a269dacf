#include "router/expiry_alarm.h"

#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <cstring>
#include <string_view>
#include <vector>

namespace fealty::router {

Status run_expiry_alarm(const std::string& command, const std::string& name,
                        std::int64_t expires_s, std::int64_t now_s) {
  constexpr std::int64_t kDay_s = 24 * 3600;
  std::vector<std::string> own = {
      "FEALTY_NAME=" + name,
      "FEALTY_DAYS=" + std::to_string((expires_s - now_s) / kDay_s),
      "FEALTY_EXPIRES=" + std::to_string(expires_s)};
  std::vector<char*> environment;
  for (std::string& each : own) environment.push_back(each.data());
  for (char** each = environ; *each != nullptr; ++each) {
    if (!std::string_view(*each).starts_with("FEALTY_")) {
      environment.push_back(*each);
    }
  }
  environment.push_back(nullptr);

  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t all;
  sigset_t none;
  sigfillset(&all);
  sigemptyset(&none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  char* const arguments[] = {const_cast<char*>(command.c_str()), nullptr};
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, command.c_str(), nullptr, &attributes,
                                  arguments, environment.data());
  ::posix_spawnattr_destroy(&attributes);
  if (error == 0) return Ok{};
  return Error{"tls.expiry_alarm: " + command + ": " + std::strerror(error)};
}

}  // namespace fealty::router
