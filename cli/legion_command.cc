#include "cli/legion_command.h"

#include <cstdio>
#include <ctime>
#include <string>

#include "base/log.h"
#include "cli/admin_client.h"
#include "cli/advice.h"
#include "cli/legion_report.h"

namespace fealty::cli {
namespace {

int complain(const std::string& what, int exit_code) {
  std::fprintf(stderr, "fealty legion: %s\n", what.c_str());
  return exit_code;
}

}  // namespace

int run_legion_command(const LegionArguments& arguments) {
  const auto address = read_address(arguments.admin);
  if (!address) {
    return complain("--admin: " + address.error().message, kExitUsage);
  }
  const auto answer = AdminClient(*address).request("GET", "/");
  if (!answer) return complain(answer.error().message, kExitRun);
  if (answer->status != 200) {
    return complain("the member says " + std::to_string(answer->status) + ": " +
                        log::printable(answer->body),
                    kExitRun);
  }
  const auto report =
      legion_report(answer->body, arguments.name, std::time(nullptr));
  if (!report) return complain(report.error().message, kExitRun);
  const std::string& out = arguments.json ? answer->body : report->text;
  std::fwrite(out.data(), 1, out.size(), stdout);
  if (!report->found) {
    return complain("no Legion '" + arguments.name + "' there", kExitRun);
  }
  return report->has_quorum ? kExitFine : kExitRun;
}

}  // namespace fealty::cli
