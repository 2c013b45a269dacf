#pragma once

#include <string>

#include "base/result.h"

namespace fealty::legion {

// Where the process is root: becomes `user` (a name or a uid) with its groups,
// and keeps CAP_NET_ADMIN and CAP_NET_RAW, which holding an address needs, and
// nothing else. `user: root` stays as it is. Call before any thread is started:
// capabilities are a thread's.
[[nodiscard]] Status drop_privileges(const std::string& user);

}  // namespace fealty::legion
