// fealty-api: the command line, and where the room and its configuration are put
// together. Exit codes: 0, 1 at run time, 2 usage, 78 configuration.

#include <malloc.h>
#include <pwd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/version.h"
#include "conf/api_config.h"
#include "api/daemon.h"

namespace {

using namespace fealty;

constexpr int kExitRun = 1;
constexpr int kExitUsage = 2;
constexpr int kExitConfig = 78;

struct CommandLine {
  std::string config = "/etc/fealty/api.yaml";
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
                       "fealty-api " + std::string(kVersion));
  app.footer(
      "SIGTERM and SIGINT answer what is under way and end, a second one ends at\n"
      "once; SIGHUP reloads the configuration, or keeps it if that is broken.\n"
      "conf/api.yaml is a commented sample; docs/api.md is the guide.");
}

log::Level level_of(const std::string& name) {
  if (name == "debug") return log::Level::kDebug;
  if (name == "warning") return log::Level::kWarning;
  if (name == "error") return log::Level::kError;
  return log::Level::kInfo;
}

// A number may stand for a user of another system, where it is to run.
bool knows_user(const std::string& user) {
  return user.find_first_not_of("0123456789") == user.npos ||
         ::getpwnam(user.c_str()) != nullptr;
}

// Prints all that is wrong.
std::optional<conf::LoadedApi> load(const CommandLine& line) {
  // Who is not root becomes nobody else, and needs no such user.
  const bool asks_for_user = line.check || ::geteuid() == 0;
  auto loaded = conf::load_api_config(line.config,
                                         asks_for_user ? knows_user : nullptr);
  if (loaded) return *std::move(loaded);
  for (const auto& problem : loaded.error()) {
    std::fprintf(stderr, "%s\n", problem.c_str());
  }
  return std::nullopt;
}

int run(const CommandLine& line, const api::Options& options, Program program) {
  api::Daemon daemon(options, [&line]() -> std::optional<api::Options> {
    auto loaded = load(line);
    if (!loaded) return std::nullopt;
    return std::move(loaded->options);
  }, std::move(program));
  Status ready = Ok{};
  if (auto inherited = Inheritance::take(); !inherited) {
    ready = inherited.error();
  } else if (*inherited) {
    ready = daemon.inherit(**std::move(inherited));
  }
  if (ready) ready = daemon.bind();
  if (ready) ready = daemon.drop_privileges();
  if (ready) ready = daemon.open();
  if (!ready) {
    log::error("{}", ready.error().message);
    return kExitRun;
  }
  return daemon.run();
}

// Long answers are built of large pieces of memory, over and over. What was freed is
// kept for the next one, in few arenas: to get it from the kernel page by page takes
// longer than the database does.
void keep_freed_memory() {
  constexpr int kKept_bytes = 32 << 20;
  ::mallopt(M_ARENA_MAX, 2);
  ::mallopt(M_MMAP_THRESHOLD, kKept_bytes);
  ::mallopt(M_TRIM_THRESHOLD, kKept_bytes);
  ::mallopt(M_TOP_PAD, 1 << 20);
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  CommandLine line;
  CLI::App app("The REST API of accounts, containers, domains and what hangs on them.",
               "fealty-api");
  define(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  log::init(line.log_format == "json" ? log::Format::kJson
                                      : log::Format::kText,
            level_of(line.log_level));

  const auto loaded = load(line);
  if (!loaded) return kExitConfig;
  if (line.dump) {
    std::fputs(loaded->dump.c_str(), stdout);
    return 0;
  }
  if (line.check) return 0;
  return run(line, loaded->options, Program::own(argc, argv));
}
