// fealty-router: the command line, and the only place where the rooms are put
// together. Exit codes: 0, 1 at run time, 2 usage, 78 configuration.

#include <pwd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/successor.h"
#include "base/version.h"
#include "conf/router_config.h"
#include "router/router.h"

namespace {

using namespace fealty;

constexpr int kExitRun = 1;
constexpr int kExitUsage = 2;
constexpr int kExitConfig = 78;

struct CommandLine {
  std::string config = "/etc/fealty/router.yaml";
  bool check = false;
  bool dump = false;
  std::string log_format = "text";
  std::string log_level = "info";
};

void define(CLI::App& app, CommandLine& line) {
  app.add_option("-c,--config", line.config, "The configuration (YAML)")
      ->capture_default_str();
  app.add_flag("--check-config", line.check,
               "Check the configuration and end: 0 fine, 78 broken");
  app.add_flag("--dump-config", line.dump,
               "Print each value and where it came from, and end");
  app.add_option("--log-format", line.log_format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app.add_option("--log-level", line.log_level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  app.set_version_flag("--version",
                       "fealty-router " + std::string(kVersion));
  app.footer(
      "SIGHUP reloads the configuration, SIGUSR1 reopens the access log, SIGUSR2\n"
      "hands over to a new process of the same program. SIGTERM and SIGINT drain\n"
      "and end, a second one ends at once.\n"
      "conf/router.yaml is a commented sample of the configuration.");
}

log::Level level_of(const std::string& name) {
  if (name == "debug") return log::Level::kDebug;
  if (name == "warning") return log::Level::kWarning;
  if (name == "error") return log::Level::kError;
  return log::Level::kInfo;
}

// A number may stand for a user of another system, where the router is to run.
bool knows_user(const std::string& user) {
  return user.find_first_not_of("0123456789") == user.npos ||
         ::getpwnam(user.c_str()) != nullptr;
}

// What the file says now; broken, it is said in the log.
std::optional<router::Configuration> reload(const std::string& path) {
  // Who is not root becomes nobody else, and needs no such user.
  auto loaded = conf::load_router_config(
      path, ::geteuid() == 0 ? knows_user : nullptr);
  if (loaded) {
    auto& config = loaded->config;
    return router::Configuration{std::move(config.router),
                                 std::move(config.subscription)};
  }
  for (const auto& problem : loaded.error()) log::error("{}", problem);
  return std::nullopt;
}

int run(conf::RouterConfig config, const std::string& path,
        Program program) {
  router::Router router(
      {std::move(config.router), std::move(config.subscription)},
      [&path] { return reload(path); }, std::move(program));
  Status ready = Ok{};
  auto inherited = Inheritance::take();
  const bool succeeds = inherited && *inherited;
  if (!inherited) ready = inherited.error();
  if (succeeds) ready = router.inherit(**std::move(inherited));
  if (ready) ready = router.bind();
  if (ready) ready = router.drop_privileges();
  if (!ready) {
    log::error("{}", ready.error().message);
    if (succeeds) router.leave_files();   // the other process goes on
    return kExitRun;
  }
  return router.run();
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine line;
  CLI::App app("An HTTP router whose applications announce themselves.",
               "fealty-router");
  define(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  log::init(line.log_format == "json" ? log::Format::kJson
                                      : log::Format::kText,
            level_of(line.log_level));

  // Who is not root becomes nobody else, and needs no such user.
  const bool asks_for_user = line.check || ::geteuid() == 0;
  auto loaded = conf::load_router_config(
      line.config, asks_for_user ? knows_user : nullptr);
  if (!loaded) {
    for (const auto& problem : loaded.error()) {
      std::fprintf(stderr, "%s\n", problem.c_str());
    }
    return kExitConfig;
  }
  if (line.dump) {
    std::fputs(loaded->dump.c_str(), stdout);
    return 0;
  }
  if (line.check) return 0;
  return run(std::move(loaded->config), line.config,
             Program::own(argc, argv));
}
