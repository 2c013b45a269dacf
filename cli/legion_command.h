#pragma once

#include "cli/arguments.h"

namespace fealty::cli {

// `fealty legion status`: asks a member's admin listener, prints what it says to
// stdout and what is wrong to stderr. Returns the exit code: 1 as well where a
// Legion that was asked for has no quorum or is not there.
[[nodiscard]] int run_legion_command(const LegionArguments& arguments);

}  // namespace fealty::cli
