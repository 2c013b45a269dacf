#include "cli/router_command.h"

#include <cstdio>
#include <ctime>
#include <string>
#include <string_view>

#include "base/log.h"
#include "cli/admin_client.h"
#include "cli/advice.h"
#include "cli/report.h"

namespace fealty::cli {
namespace {

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

int complain(const Error& error) {
  std::fprintf(stderr, "fealty router: %s\n", error.message.c_str());
  return kExitRun;
}

std::string without_line_end(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) {
    text.pop_back();
  }
  return text;
}

// The router's own words on a refusal.
int refused(const AdminAnswer& answer) {
  std::fprintf(stderr, "fealty router: the router says %d: %s\n",
               answer.status,
               log::printable(without_line_end(answer.body)).c_str());
  return kExitRun;
}

int stats(const AdminClient& router, const RouterArguments& arguments) {
  const auto answer = router.request("GET", "/");
  if (!answer) return complain(answer.error());
  if (answer->status != 200) return refused(*answer);
  if (arguments.json) {
    print(answer->body);
    return kExitFine;
  }
  const auto report =
      stats_report(answer->body, arguments.key, std::time(nullptr));
  if (!report) return complain(report.error());
  print(*report);
  return kExitFine;
}

int explain(const AdminClient& router, const RouterArguments& arguments) {
  std::string target = "/explain?host=" + percent_encoded(arguments.host);
  if (!arguments.path.empty()) {
    target += "&path=" + percent_encoded(arguments.path);
  }
  const auto answer = router.request("GET", target);
  if (!answer) return complain(answer.error());
  if (answer->status != 200) return refused(*answer);
  const auto report = explain_report(answer->body);
  if (!report) return complain(report.error());
  print(arguments.json ? answer->body : report->text);
  return report->answered ? kExitFine : kExitRun;
}

int drain(const AdminClient& router, const RouterArguments& arguments,
          std::string_view what) {
  const auto answer = router.request(
      "POST", "/" + std::string(what) + "?key=" +
                  percent_encoded(arguments.key) + "&node=" +
                  percent_encoded(arguments.node));
  if (!answer) return complain(answer.error());
  if (answer->status / 100 != 2) return refused(*answer);
  const std::string said = without_line_end(answer->body);
  print(said.empty() ? "done\n" : said + "\n");
  return kExitFine;
}

int health(const AdminClient& router) {
  const auto answer = router.request("GET", "/healthz");
  if (!answer) return complain(answer.error());
  const std::string said = without_line_end(answer->body);
  print((said.empty() ? std::to_string(answer->status) : said) + "\n");
  return answer->status == 200 ? kExitFine : kExitRun;
}

}  // namespace

int run_router_command(const RouterArguments& arguments) {
  const auto address = read_address(arguments.admin);
  if (!address) {
    complain(Error{"--admin: " + address.error().message});
    return kExitUsage;
  }
  const AdminClient router(*address);
  using Action = RouterArguments::Action;
  switch (arguments.action) {
    case Action::kStats: return stats(router, arguments);
    case Action::kExplain: return explain(router, arguments);
    case Action::kDrain: return drain(router, arguments, "drain");
    case Action::kUndrain: return drain(router, arguments, "undrain");
    case Action::kHealth: return health(router);
  }
  return kExitUsage;
}

}  // namespace fealty::cli
