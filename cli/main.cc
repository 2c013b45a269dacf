// fealty: the command line. Exit codes: 0, 1 at run time, 2 usage, 77 without a
// login; `subscribe` ends with its COMMAND's.

#include <signal.h>

#include <cstdio>
#include <variant>

#include "base/log.h"
#include "cli/api_command.h"
#include "cli/arguments.h"
#include "cli/legion_command.h"
#include "cli/plan.h"
#include "cli/router_command.h"
#include "cli/supervisor.h"

namespace {

using namespace fealty;
using namespace fealty::cli;

// A log that nobody reads any more must not end the application. A handler, and
// not SIG_IGN, since COMMAND would inherit that.
void survive_broken_pipes() {
  struct sigaction action{};
  if (::sigaction(SIGPIPE, nullptr, &action) != 0) return;
  if (action.sa_handler == SIG_DFL) ::signal(SIGPIPE, [](int) {});
}

int run_subscribe(const SubscribeArguments& arguments) {
  const auto plan = make_plan(arguments);
  if (!plan) {
    std::fprintf(stderr, "fealty subscribe: %s\n",
                 plan.error().message.c_str());
    return kExitUsage;
  }
  Supervisor supervisor(*plan);
  return supervisor.run();
}

}  // namespace

int main(int argc, char** argv) {
  const auto parsed = parse_arguments(argc, argv);
  if (const auto* const end = std::get_if<EarlyEnd>(&parsed)) {
    return end->exit_code;
  }
  const Arguments& arguments = std::get<Arguments>(parsed);
  log::init(arguments.log_format, arguments.log_level);
  survive_broken_pipes();
  if (const auto* const router =
          std::get_if<RouterArguments>(&arguments.what)) {
    return run_router_command(*router);
  }
  if (const auto* const legion =
          std::get_if<LegionArguments>(&arguments.what)) {
    return run_legion_command(*legion);
  }
  if (const auto* const api = std::get_if<ApiArguments>(&arguments.what)) {
    return run_api_command(*api);
  }
  if (const auto* const call = std::get_if<ClientCall>(&arguments.what)) {
    return run_client_call(*call);
  }
  if (const auto* const completion =
          std::get_if<CompletionArguments>(&arguments.what)) {
    return run_completion(*completion);
  }
  return run_subscribe(std::get<SubscribeArguments>(arguments.what));
}
