#include "cli/client/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <deque>

#include "cli/client/settings.h"

namespace fealty::cli {
namespace {

constexpr const char* kExitCodes =
    "Ends with 0; with 1 where the API refuses or cannot be asked; with 2 for a "
    "wrong\nusage; with 77 where nobody is logged in, or not any more.";

// What KEY may be, where KEY=VALUE is taken.
std::string keys_of(const ClientCommand& command) {
  const bool takes_them =
      std::any_of(command.parameters.begin(), command.parameters.end(),
                  [](const Parameter& each) { return each.name == kSettings; });
  if (!takes_them) return "";
  std::string out = "KEY is one of:\n ";
  std::size_t columns = 1;
  for (const std::string& name : setting_names(command.resource->keys)) {
    columns += name.size() + 1;
    if (columns > 78) {
      out += "\n ";
      columns = name.size() + 2;
    }
    out += " " + name;
  }
  return out +
         "\nVALUE may be @FILE. Lists are written a,b; none is an empty list, or "
         "no distribution.\nSecrets come from @FILE, or are asked for: KEY=?\n\n";
}

bool is_option(const Parameter& parameter) {
  return parameter.name.starts_with("--");
}

// One word stays free for a positional's value: a vector takes all there are.
struct Value {
  const Parameter* parameter = nullptr;
  CLI::Option* option = nullptr;
  std::string word;
  std::vector<std::string> words;
  bool flag = false;
};

CLI::Option* define_value(CLI::App& app, Value& value) {
  const Parameter& parameter = *value.parameter;
  switch (parameter.take) {
    case Take::kFlag:
      return app.add_flag(parameter.name, value.flag, parameter.about);
    case Take::kMany:
      return app.add_option(parameter.name, value.words, parameter.about)
          ->required();
    case Take::kOne:
      return app.add_option(parameter.name, value.word, parameter.about)
          ->required();
    case Take::kOptional: break;
  }
  value.word = parameter.otherwise;
  auto* const option =
      app.add_option(parameter.name, value.word, parameter.about);
  if (!parameter.otherwise.empty()) option->capture_default_str();
  return option;
}

std::vector<std::string> words_of(const Value& value) {
  const Parameter& parameter = *value.parameter;
  const bool given = value.option->count() > 0;
  if (parameter.take == Take::kMany) return value.words;
  if (parameter.take == Take::kFlag) {
    return given ? std::vector<std::string>{"yes"} : std::vector<std::string>();
  }
  if (!given && parameter.otherwise.empty()) return {};
  return {value.word};
}

}  // namespace

struct ClientCommandLine::Node {
  const ClientCommand* command = nullptr;
  CLI::App* app = nullptr;
  Node* parent = nullptr;
  std::deque<Value> values;      // the parser writes to them

  [[nodiscard]] bool has(const std::string& name) const {
    for (const Value& value : values) {
      if (value.parameter->name == name) return true;
    }
    return parent != nullptr && parent->has(name);
  }
  // An operand of the command above stands before this one's name.
  void add(const Parameter& parameter, const char* group) {
    if (!is_option(parameter) && has(parameter.name)) return;
    Value& value = values.emplace_back();
    value.parameter = &parameter;
    value.option = define_value(*app, value);
    if (group != nullptr) value.option->group(group);
  }
  // What was given here counts more than what was given above.
  void collect(ClientCall& call) const {
    if (parent != nullptr) parent->collect(call);
    for (const Value& value : values) {
      auto words = words_of(value);
      const std::string& name = value.parameter->name;
      if (words.empty() || (value.option->count() == 0 && call.has(name))) {
        continue;
      }
      call.words[name] = std::move(words);
    }
  }
};

ClientCommandLine::ClientCommandLine(CLI::App& root) {
  for (const ClientCommand& command : client_commands()) define(root, command);
}

ClientCommandLine::~ClientCommandLine() = default;

void ClientCommandLine::define(CLI::App& root, const ClientCommand& command) {
  auto node = std::make_unique<Node>();
  node->command = &command;
  const std::size_t space = command.path.rfind(' ');
  CLI::App* above = &root;
  if (space != std::string::npos) {
    node->parent = nodes_.at(command.path.substr(0, space)).get();
    above = node->parent->app;
    above->require_subcommand(node->parent->command->run == nullptr ? 1 : 0, 1);
  }
  node->app = above->add_subcommand(
      space == std::string::npos ? command.path
                                 : command.path.substr(space + 1),
      command.about);
  for (const Parameter& parameter : command.parameters) {
    node->add(parameter, nullptr);
  }
  for (const Parameter& parameter : connection_options(command)) {
    node->add(parameter, "Connection");
  }
  node->app->footer(keys_of(command) + kExitCodes);
  nodes_.emplace(command.path, std::move(node));
}

std::optional<ClientCall> ClientCommandLine::typed() const {
  const Node* deepest = nullptr;
  for (const auto& [path, node] : nodes_) {
    if (node->app->parsed() && (deepest == nullptr ||
                                path.size() > deepest->command->path.size())) {
      deepest = node.get();
    }
  }
  if (deepest == nullptr) return std::nullopt;
  ClientCall call{deepest->command};
  deepest->collect(call);
  return call;
}

const ClientCommand* ClientCommandLine::command_of(const CLI::App* app) const {
  for (const auto& [path, node] : nodes_) {
    if (node->app == app) return node->command;
  }
  return nullptr;
}

}  // namespace fealty::cli
