#pragma once

#include "cli/arguments.h"

namespace fealty::cli {

// `fealty router ...`: asks the admin listener, prints what it says to stdout
// and what is wrong to stderr. Returns the exit code.
[[nodiscard]] int run_router_command(const RouterArguments& arguments);

}  // namespace fealty::cli
