#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "cli/client/json.h"
#include "cli/client/problem.h"
#include "cli/client/resource.h"

namespace fealty::cli {

// What reading a value may need of others.
struct SettingHelp {
  // The number of a container or distro that is given by its name.
  std::function<Result<std::int64_t, Problem>(KeyKind, const std::string&)>
      number_of;
  // A secret, from the person at the terminal.
  std::function<Result<std::string, Problem>(const std::string&)> ask;
};

// KEY=VALUE words as a request's object. A VALUE of @FILE is what the file holds
// (@@ stands for an @ at the front); "-" and "_" in a KEY are the same; KEYs that
// hold a list may be given several times, and be none. The error names the word,
// and what would be right.
[[nodiscard]] Result<Json, Problem> read_settings(
    std::span<const Setting> keys, std::span<const std::string> words,
    const SettingHelp& help);

// One VALUE into the object.
[[nodiscard]] Done put_setting(Json& object, const Setting& key,
                               const std::string& value,
                               const SettingHelp& help);

// A value as it stands, whatever it begins with.
[[nodiscard]] Done put_text(Json& object, const Setting& key,
                            const std::string& text, const SettingHelp& help);

[[nodiscard]] const Setting* find_key(std::span<const Setting> keys,
                                      std::string_view name);
// Those that KEY=VALUE may have.
[[nodiscard]] std::vector<std::string> setting_names(
    std::span<const Setting> keys);

}  // namespace fealty::cli
