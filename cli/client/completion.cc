#include "cli/client/completion.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>

#include "cli/client/command_line.h"
#include "cli/client/session.h"
#include "cli/client/visible.h"

namespace fealty::cli {
namespace {

constexpr std::size_t kListedMost = 500;

constexpr std::string_view kBash = R"sh(# fealty's completion for bash.
_fealty() {
  local line=${COMP_LINE:0:COMP_POINT} word each
  word=${line##*[[:space:]]}
  COMPREPLY=()
  # Not by compgen -W, which would execute what stands in a word.
  while IFS=$'\t' read -r each _; do
    if [[ $each == "$word"* ]]; then COMPREPLY+=("$each"); fi
  done < <("${COMP_WORDS[0]}" completion --line "$line" 2>/dev/null)
  # Readline has split the word at = and : and puts in what follows them.
  if [[ $word == *[=:]* && $COMP_WORDBREAKS == *[=:]* ]]; then
    COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*[=:]}"}"}")
  fi
  if [[ ${#COMPREPLY[@]} -gt 0 && ${COMPREPLY[0]} == *[=,] ]]; then
    compopt -o nospace 2>/dev/null
  fi
}
complete -o default -F _fealty fealty
)sh";

constexpr std::string_view kZsh = R"sh(#compdef fealty
# fealty's completion for zsh.
_fealty() {
  local -a found shown
  local each line="${(j: :)words[1,CURRENT-1]} $PREFIX"
  for each in "${(@f)$(fealty completion --line "$line" 2>/dev/null)}"; do
    [[ -n $each ]] || continue
    found+=("${each%%$'\t'*}")
    shown+=("${each/$'\t'/  -- }")
  done
  if (( ${#found} == 0 )); then
    _files
  elif [[ ${found[1]} == *[=,] ]]; then
    compadd -S '' -d shown -a found
  else
    compadd -d shown -a found
  fi
}
if [[ $funcstack[1] == _fealty ]]; then
  _fealty "$@"
else
  compdef _fealty fealty
fi
)sh";

constexpr std::string_view kFish = R"sh(# fealty's completion for fish.
complete -c fealty -a '(fealty completion --line (commandline -cp) 2>/dev/null)'
)sh";

// Words as a shell would have them; the last one is what is being typed.
std::vector<std::string> split_line(std::string_view line) {
  std::vector<std::string> words(1);
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        words.back() += c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == '\\' && i + 1 < line.size()) {
      words.back() += line[++i];
    } else if (c == ' ' || c == '\t') {
      if (!words.back().empty()) words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  return words;
}

bool is_program(std::string_view word) {
  return word.substr(word.rfind('/') + 1) == "fealty";
}

const CLI::Option* find_option(const CLI::App* app, const std::string& name) {
  for (; app != nullptr; app = app->get_parent()) {
    if (const auto* const option = app->get_option_no_throw(name)) return option;
  }
  return nullptr;
}

bool takes_value(const CLI::Option* option) {
  return option != nullptr && option->get_items_expected_max() > 0;
}

const CLI::App* find_subcommand(const CLI::App& app, const std::string& name) {
  for (const CLI::App* const each :
       app.get_subcommands([](const CLI::App*) { return true; })) {
    if (each->get_name() == name) return each;
  }
  return nullptr;
}

// The operand that comes after so many.
const CLI::Option* operand_at(const CLI::App& app, std::size_t index) {
  for (const CLI::Option* const option : app.get_options()) {
    if (!option->get_positional()) continue;
    const bool last = option->get_items_expected_max() > 1;
    if (index == 0 || last) return option;
    --index;
  }
  return nullptr;
}

// Where a line has come to.
struct Place {
  const CLI::App* app = nullptr;
  const CLI::Option* option = nullptr;   // whose value is to come
  std::size_t operands = 0;
  bool is_over = false;                  // COMMAND follows
  ClientCall call;
};

Place follow(const CLI::App& root, const std::vector<std::string>& words) {
  Place place;
  place.app = &root;
  for (const std::string& word : words) {
    if (place.option != nullptr) {
      place.call.words[place.option->get_name()] = {word};
      place.option = nullptr;
    } else if (word == "--") {
      place.is_over = true;
    } else if (word.starts_with("-")) {
      const std::size_t equals = word.find('=');
      const auto* const option =
          find_option(place.app, word.substr(0, equals));
      if (takes_value(option) && equals == word.npos) {
        place.option = option;
      } else if (takes_value(option)) {
        place.call.words[option->get_name()] = {word.substr(equals + 1)};
      }
    } else if (const auto* const below = find_subcommand(*place.app, word)) {
      place.app = below;
      place.operands = 0;
    } else {
      if (const auto* const operand = operand_at(*place.app, place.operands)) {
        place.call.words[operand->get_name()].push_back(word);
      }
      ++place.operands;
    }
  }
  return place;
}

class Suggester {
 public:
  Suggester(const ClientCommandLine& commands, Place place, std::string word)
      : place_(std::move(place)), word_(std::move(word)) {
    out_.call = place_.call;
    out_.call.command = commands.command_of(place_.app);
    command_ = out_.call.command;
    if (command_ == nullptr) return;
    for (const Parameter& option : connection_options(*command_)) {
      if (option.otherwise.empty() || out_.call.has(option.name)) continue;
      out_.call.words[option.name] = {option.otherwise};
    }
  }

  Suggestions run() {
    if (place_.is_over) return std::move(out_);
    const std::size_t equals = word_.find('=');
    if (place_.option != nullptr) {
      add_values(place_.option->get_name(), "");
    } else if (word_.starts_with("--") && equals != word_.npos) {
      add_values(word_.substr(0, equals), word_.substr(0, equals + 1));
    } else if (word_.starts_with("-")) {
      add_options();
    } else {
      add_subcommands();
      const auto* const operand = operand_at(*place_.app, place_.operands);
      if (operand != nullptr) add_values(operand->get_name(), "");
    }
    return std::move(out_);
  }

 private:
  void add(std::string word, std::string about = {}) {
    about = about.substr(0, about.find('\n'));
    const bool known =
        std::any_of(out_.words.begin(), out_.words.end(),
                    [&](const auto& each) { return each.first == word; });
    if (word.starts_with(word_) && !known) {
      out_.words.emplace_back(std::move(word), std::move(about));
    }
  }
  void add_options() {
    for (const CLI::App* app = place_.app; app != nullptr;
         app = app->get_parent()) {
      for (const CLI::Option* const option : app->get_options()) {
        if (option->get_group().empty()) continue;
        for (const std::string& name : option->get_lnames()) {
          add("--" + name, option->get_description());
        }
      }
    }
  }
  void add_subcommands() {
    for (const CLI::App* const each :
         place_.app->get_subcommands([](const CLI::App*) { return true; })) {
      if (!each->get_group().empty()) {
        add(each->get_name(), each->get_description());
      }
    }
  }
  void list(const Resource& resource, std::string before) {
    out_.resource = &resource;
    out_.before = std::move(before);
  }
  // What an option or an operand of this name may be.
  void add_values(const std::string& name, const std::string& before) {
    constexpr std::array<std::string_view, 6> kOfContainers = {
        "UID", "OTHER", "STORAGE", "--container", "--usable-by", "TARGET"};
    if (name == kSettings) return add_settings();
    if (name == "SHELL") {
      for (const char* const shell : {"bash", "zsh", "fish"}) add(shell);
    } else if (name == "METRIC") {
      for (const std::string_view each : kContainerMetrics) {
        add(std::string(each));
      }
      for (const std::string_view each : kDomainMetrics) add(std::string(each));
    } else if (name == "--profile") {
      out_.profiles = true;
      out_.before = before;
    } else if (command_ == nullptr) {
      return;
    } else if (std::find(kOfContainers.begin(), kOfContainers.end(), name) !=
               kOfContainers.end()) {
      list(containers(), before);
    } else if (name == "DOMAIN") {
      list(domains(), before);
    } else if (name == "TAG") {
      list(tags(), before);
    } else if (name == "--tags") {
      list(tags(), before + begun_list(word_.substr(before.size())));
    } else if (name == "CUSTOM_DISTRO") {
      list(custom_distros(), before);
    } else if (name == "ID" && command_->resource != nullptr) {
      list(*command_->resource, before);
    }
  }
  // "a,b,": what stands before the word that is being typed.
  static std::string begun_list(const std::string& text) {
    const std::size_t comma = text.rfind(',');
    return comma == text.npos ? "" : text.substr(0, comma + 1);
  }
  void add_settings() {
    if (command_ == nullptr || command_->resource == nullptr) return;
    const std::size_t equals = word_.find('=');
    if (equals == word_.npos) {
      for (const std::string& name : setting_names(command_->resource->keys)) {
        add(name + "=");
      }
      return;
    }
    const Setting* const key =
        find_key(command_->resource->keys, word_.substr(0, equals));
    if (key == nullptr) return;
    const std::string before = word_.substr(0, equals + 1);
    switch (key->kind) {
      case KeyKind::kFlag:
        add(before + "yes");
        add(before + "no");
        break;
      case KeyKind::kDistro: list(distros(), before); break;
      case KeyKind::kCustomDistro: list(custom_distros(), before); break;
      case KeyKind::kContainer: list(containers(), before); break;
      case KeyKind::kWords:
        list(tags(), before + begun_list(word_.substr(equals + 1)));
        break;
      default: break;
    }
  }

  Suggestions out_;
  const Place place_;
  const std::string word_;
  const ClientCommand* command_ = nullptr;
};

void print(const std::string& word, const std::string& about) {
  std::printf("%s%s%s\n", word.c_str(), about.empty() ? "" : "\t",
              about.c_str());
}

// Whether a shell and the command would take it for one word, and for no option
// and no file.
bool is_plain(const std::string& name) {
  constexpr std::string_view kOthers = "._-+:/@%";
  return !name.empty() && name.front() != '-' && name.front() != '@' &&
         visible(name) == name &&
         std::all_of(name.begin(), name.end(), [&](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return byte >= 0x80 || std::isalnum(byte) != 0 ||
                  kOthers.find(c) != kOthers.npos;
         });
}

void print_objects(const Suggestions& suggestions) {
  const Resource& resource = *suggestions.resource;
  Session session(suggestions.call, false);
  const auto list = session.get_list(std::string(resource.path));
  if (!list) return;
  for (const auto& [word, about] : object_words(resource, *list)) {
    print(suggestions.before + word, about);
  }
}

}  // namespace

std::vector<std::pair<std::string, std::string>> object_words(
    const Resource& resource, const Json& list) {
  const bool by_id = resource.called.empty() || resource.id == "uid" ||
                     resource.called.starts_with("uid");
  const std::string called = by_id ? "name" : std::string(resource.called);
  std::vector<std::pair<std::string, std::string>> out;
  for (const Json& object : list) {
    const auto id = object.find(resource.id);
    if (id == object.end() || !id->is_number_integer()) continue;
    const std::string name = cell_text(object.value(called, Json(nullptr)));
    if (out.size() == kListedMost) break;
    if (by_id) {
      out.emplace_back(cell_text(*id), is_plain(name) ? name : "");
    } else if (is_plain(name)) {
      out.emplace_back(name, "");
    } else if (&resource != &tags()) {
      // Tags are listed by their names alone.
      out.emplace_back(cell_text(*id), "");
    }
  }
  return out;
}

Suggestions suggest(const CLI::App& root, const ClientCommandLine& commands,
                    std::string_view line) {
  std::vector<std::string> words = split_line(line);
  const auto program = std::find_if(words.begin(), words.end(), is_program);
  if (program == words.end() || program + 1 == words.end()) return {};
  std::string word = std::move(words.back());
  words.pop_back();
  words.erase(words.begin(), program + 1);
  return Suggester(commands, follow(root, words), std::move(word)).run();
}

int run_completion(const CompletionArguments& arguments) {
  if (!arguments.shell.empty()) {
    const std::string_view script = completion_script(arguments.shell);
    std::fwrite(script.data(), 1, script.size(), stdout);
    return kExitFine;
  }
  const Suggestions& suggestions = arguments.suggestions;
  for (const auto& [word, about] : suggestions.words) print(word, about);
  if (suggestions.profiles) {
    const auto profiles = read_profiles(profiles_path());
    if (!profiles) return kExitFine;
    for (const auto& [name, profile] : profiles->by_name) {
      if (is_plain(name)) print(suggestions.before + name, visible(profile.url));
    }
  }
  if (suggestions.resource != nullptr && suggestions.call.command != nullptr) {
    print_objects(suggestions);
  }
  return kExitFine;
}

std::string_view completion_script(std::string_view shell) {
  return shell == "zsh" ? kZsh : shell == "fish" ? kFish : kBash;
}

}  // namespace fealty::cli
