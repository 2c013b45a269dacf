#pragma once

#include <span>
#include <string>

#include "cli/client/json.h"
#include "cli/client/resource.h"

namespace fealty::cli {

// What the API answered, in one of three forms. Pure but for the local time zone.
enum class Form : std::uint8_t {
  kTable,            // for people: aligned, with a head, times in words
  kTabs,             // for programs: a line each, no head, times in seconds
  kJson,             // as the API has it, a line
};

// A list of objects. Fields that are missing are shown as "-" in tables and are
// empty between tabs.
[[nodiscard]] std::string list_text(std::span<const Column> columns,
                                    const Json& list, Form form);

// A line for each of an object's keys.
[[nodiscard]] std::string object_text(const Json& object, Form form);

// Rows of cells that are visible() already, as a table or with tabs.
[[nodiscard]] std::string rows_text(
    const std::vector<std::vector<std::string>>& rows, Form form);

// A value as one cell: texts as they are, lists by commas.
[[nodiscard]] std::string cell_text(const Json& value);

[[nodiscard]] std::string json_text(const Json& value);

// 2026-11-27 07:13:28, local.
[[nodiscard]] std::string time_text(std::int64_t unix_s);

}  // namespace fealty::cli
