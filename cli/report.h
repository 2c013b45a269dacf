#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fealty::cli {

// What a router's admin listener says in JSON, for people. Pure. Fields that are
// missing or of another kind are shown as "-": the router may be of another
// version. The error: it is no JSON of that kind at all.

// A line of totals, and a table of pools and nodes; only `key`'s, if it is not
// empty. `now_s`: for how long ago a node was heard.
[[nodiscard]] Result<std::string> stats_report(std::string_view json,
                                               std::string_view key,
                                               std::int64_t now_s);

struct Explanation {
  std::string text;
  bool answered = false;         // some node is eligible
};
[[nodiscard]] Result<Explanation> explain_report(std::string_view json);

// Left-aligned columns, two spaces apart; each row has as many cells as the
// first. Control bytes are made visible.
[[nodiscard]] std::string table(
    const std::vector<std::vector<std::string>>& rows);

}  // namespace fealty::cli
