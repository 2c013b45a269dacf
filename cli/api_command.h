#pragma once

#include "cli/arguments.h"

namespace fealty::cli {

// `fealty api sync-keys DIR`; the exit code.
[[nodiscard]] int run_api_command(const ApiArguments& arguments);

}  // namespace fealty::cli
