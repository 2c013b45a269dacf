#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cli/client/problem.h"
#include "cli/client/resource.h"

namespace fealty::cli {

class Session;

// The commands that ask the REST API, in one table: the command line, its help,
// its completion and what is sent are all made from it.

enum class Take : std::uint8_t { kOne, kOptional, kMany, kFlag };

struct Parameter {
  std::string name;              // "NAME" is an operand, "--name" an option
  std::string about;
  Take take = Take::kOne;
  std::string key = {};          // where it goes in what is sent
  std::string otherwise = {};
};

struct ClientCommand {
  std::string path;              // "domains add"
  std::string about;
  Done (*run)(Session&) = nullptr;   // null: it is only the parent of others
  std::vector<Parameter> parameters = {};
  const Resource* resource = nullptr;
  std::string fixed = {};        // JSON: what is always sent
  std::string said = {};         // to a person, once it is done
  // Where it is asked, if not at the resource's own path: {} is the first operand,
  // a container's or a domain's number by its name.
  std::string at = {};

  [[nodiscard]] bool is_admin() const { return path.starts_with("admin "); }
};

// SETTING stands for KEY=VALUE words in operands.
inline constexpr std::string_view kSettings = "SETTING";

[[nodiscard]] const std::vector<ClientCommand>& client_commands();

// The options that each of them has besides.
[[nodiscard]] const std::vector<Parameter>& connection_options(
    const ClientCommand& command);

// A command as it was typed: its operands and options by their names.
struct ClientCall {
  const ClientCommand* command = nullptr;
  std::map<std::string, std::vector<std::string>, std::less<>> words = {};

  [[nodiscard]] bool has(std::string_view name) const {
    const auto at = words.find(name);
    return at != words.end() && !at->second.empty();
  }
  // "" where it was not given.
  [[nodiscard]] std::string one(std::string_view name) const {
    return has(name) ? words.find(name)->second.front() : "";
  }
  [[nodiscard]] std::vector<std::string> all(std::string_view name) const {
    return has(name) ? words.find(name)->second : std::vector<std::string>();
  }
};

// Does it, and says why it cannot be done; the exit code.
[[nodiscard]] int run_client_call(const ClientCall& call);

}  // namespace fealty::cli
