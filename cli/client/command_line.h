#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/client/command_table.h"

namespace CLI {
class App;
}

namespace fealty::cli {

// The table's commands as subcommands of `root`. Lives until that was parsed.
class ClientCommandLine {
 public:
  explicit ClientCommandLine(CLI::App& root);
  ~ClientCommandLine();

  // After parsing: what was typed, if it was one of these.
  [[nodiscard]] std::optional<ClientCall> typed() const;

  // The table's row behind a subcommand; null: it is another's.
  [[nodiscard]] const ClientCommand* command_of(const CLI::App* app) const;

 private:
  struct Node;
  void define(CLI::App& parent, const ClientCommand& command);

  std::map<std::string, std::unique_ptr<Node>> nodes_;   // by path
};

}  // namespace fealty::cli
