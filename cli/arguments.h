#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/log.h"
#include "cli/client/command_table.h"
#include "cli/client/completion.h"
#include "cli/exit_codes.h"

namespace fealty::cli {

// `fealty subscribe`, as it was typed: nothing but the shape of numbers has been
// checked (plan.h does the rest).
struct SubscribeArguments {
  std::vector<std::string> servers;
  std::vector<std::string> keys;
  std::string address;
  std::string proto = "http";
  std::string algo;
  std::uint32_t weight = 1;
  std::uint32_t backup = 0;
  std::uint8_t modifier1 = 0;
  std::uint8_t modifier2 = 0;
  std::string sign;              // DIGEST:FILE
  std::string sni_key;
  std::string sni_crt;
  std::string sni_ca;            // [!]FILE
  bool embed_sni = false;
  std::string notify;            // "": an own one where that can work; "none"
  std::string every = "10s";
  std::string drain = "1s";
  bool once = false;
  bool unsubscribe = false;
  std::string check_url;         // http://..., or a path of the application's
  std::string check_address;     // "": the announced one
  bool no_check = false;
  std::string chmod_socket;      // octal
  bool keep_notify_socket = false;
  std::vector<std::string> command;
};

// `fealty router ...`.
struct RouterArguments {
  enum class Action : std::uint8_t { kStats, kExplain, kDrain, kUndrain,
                                     kHealth };
  Action action = Action::kStats;
  std::string admin = "127.0.0.1:5003";
  std::string host;              // explain
  std::string path;
  std::string key;               // stats (only this one), drain, undrain
  std::string node;              // drain, undrain
  bool json = false;
};

// `fealty legion status`.
struct LegionArguments {
  std::string admin = "127.0.0.1:5005";
  std::string name;              // only this Legion
  bool json = false;
};

// `fealty api sync-keys`.
struct ApiArguments {
  std::string admin = "unix:/run/fealty/api-admin.sock";
  std::string server;            // only customers with a container on it
  std::string directory;
  bool force = false;            // most keys may go
};

struct Arguments {
  std::variant<SubscribeArguments, RouterArguments, LegionArguments,
               ApiArguments, ClientCall, CompletionArguments>
      what;
  log::Format log_format = log::Format::kText;
  log::Level log_level = log::Level::kInfo;
};

// The process is to end at once, with this code: help was printed (0), or what
// was typed makes no sense and it was said why (kExitUsage).
struct EarlyEnd {
  int exit_code = 0;
};

// What follows the first "--" is COMMAND, word for word.
[[nodiscard]] std::variant<Arguments, EarlyEnd> parse_arguments(
    int argc, const char* const* argv);

}  // namespace fealty::cli
