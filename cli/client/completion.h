#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/client/command_table.h"
#include "cli/client/json.h"

namespace CLI {
class App;
}

namespace fealty::cli {

class ClientCommandLine;

// What may stand where the cursor is: words with what they mean, and what the API
// or the profiles would have to be asked for.
struct Suggestions {
  std::vector<std::pair<std::string, std::string>> words;
  // Objects to be listed; null: none.
  const Resource* resource = nullptr;
  bool profiles = false;
  // The word so far, before what is listed: "distro=", "tags=a,".
  std::string before;
  // For asking: the command, with the options of the line.
  ClientCall call;
};

// Of a line as far as the cursor. Goes by the parser's own tables, so that every
// command and option is known. Pure.
[[nodiscard]] Suggestions suggest(const CLI::App& root,
                                  const ClientCommandLine& commands,
                                  std::string_view line);

// Objects as words with what they mean: containers by their uid, since names need
// not be their own; all else by name, where a shell takes that for one word. What
// is none of the API's objects is left out. Pure.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> object_words(
    const Resource& resource, const Json& list);

// `fealty completion`.
struct CompletionArguments {
  std::string shell;             // whose script is wanted; "": suggestions
  Suggestions suggestions;
};
[[nodiscard]] int run_completion(const CompletionArguments& arguments);

// What makes a shell ask `fealty completion --line`.
[[nodiscard]] std::string_view completion_script(std::string_view shell);

}  // namespace fealty::cli
