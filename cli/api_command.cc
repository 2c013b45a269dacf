#include "cli/api_command.h"

#include <cstdio>
#include <string>

#include "base/log.h"
#include "cli/admin_client.h"
#include "cli/advice.h"
#include "cli/key_directory.h"

namespace fealty::cli {
namespace {

int complain(const std::string& what, int exit_code) {
  std::fprintf(stderr, "fealty api: %s\n", what.c_str());
  return exit_code;
}

}  // namespace

int run_api_command(const ApiArguments& arguments) {
  const auto address = read_address(arguments.admin);
  if (!address) {
    return complain("--admin: " + address.error().message, kExitUsage);
  }
  std::string target = "/admin/keys";
  if (!arguments.server.empty()) {
    target += "?server=" + percent_encoded(arguments.server);
  }
  const auto answer =
      AdminClient(*address, "the API's").request("GET", target);
  if (!answer) return complain(answer.error().message, kExitRun);
  if (answer->status == 404 && !arguments.server.empty()) {
    return complain("the API knows no server '" + arguments.server + "'",
                    kExitRun);
  }
  if (answer->status != 200) {
    return complain("the API says " + std::to_string(answer->status) + ": " +
                        log::printable(answer->body),
                    kExitRun);
  }
  const auto synced = sync_key_directory(arguments.directory,
                                         answer->body, arguments.force);
  if (!synced) return complain(synced.error().message, kExitRun);
  std::printf("%zu written, %zu removed, %zu as they were\n", synced->written,
              synced->removed, synced->kept);
  return kExitFine;
}

}  // namespace fealty::cli
