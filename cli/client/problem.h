#pragma once

#include <string>
#include <utility>

#include "base/result.h"
#include "cli/exit_codes.h"

namespace fealty::cli {

// Why a command of the API's could not be done, for people ("": they know), and
// the exit code.
// `status` is the API's answer's; 0: it gave none.
struct Problem {
  std::string message;
  int exit_code = kExitRun;
  int status = 0;

  Problem(std::string text, int code = kExitRun, int http_status = 0)
      : message(std::move(text)), exit_code(code), status(http_status) {}
  Problem(Error error, int code = kExitRun)
      : Problem(std::move(error.message), code) {}
};
[[nodiscard]] inline Problem wrong_usage(std::string message) {
  return {std::move(message), kExitUsage};
}

using Done = Result<Ok, Problem>;

}  // namespace fealty::cli
