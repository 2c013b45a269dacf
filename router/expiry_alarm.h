#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace fealty::router {

// Starts `command` (a program's path, without arguments) for an identity that is
// about to expire, and does not wait for it: with FEALTY_NAME, FEALTY_DAYS (whole
// days that are left; 0 on the last, negative afterwards) and FEALTY_EXPIRES
// (seconds since 1970) in its environment, which is otherwise the router's.
// Control thread; the process must not keep its children's ends (SIGCHLD
// ignored).
[[nodiscard]] Status run_expiry_alarm(const std::string& command,
                                      const std::string& name,
                                      std::int64_t expires_s,
                                      std::int64_t now_s);

}  // namespace fealty::router
