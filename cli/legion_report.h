#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fealty::cli {

struct LegionReport {
  std::string text;
  bool has_quorum = false;       // of every Legion that is shown
  bool found = false;            // some Legion is shown
};

// What a Legion member's admin listener says in JSON, for people: for each
// Legion (or `name`'s alone, if it is not empty) the Lord and since when, the
// votes or why there is no quorum, and a table of the members; and the forwarder,
// where there is one. Pure; fields that
// are missing are shown as "-". The error: it is no such JSON.
[[nodiscard]] Result<LegionReport> legion_report(std::string_view json,
                                                 std::string_view name,
                                                 std::int64_t now_s);

}  // namespace fealty::cli
