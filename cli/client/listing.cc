#include "cli/client/listing.h"

#include <algorithm>
#include <ctime>

#include "cli/client/visible.h"

namespace fealty::cli {
namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string cell_of(const Json& object, const Column& column, Form form) {
  const auto at = object.find(column.key);
  const std::string none = form == Form::kTable ? "-" : "";
  if (at == object.end() || at->is_null()) return none;
  if (column.is_time && form == Form::kTable && at->is_number_integer()) {
    return time_text(at->get<std::int64_t>());
  }
  const std::string text = visible(cell_text(*at));
  return text.empty() ? none : text;
}

std::string aligned(const Rows& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], width_of(row[i]));
    }
  }
  std::string out;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i) {
      out += padded(row[i], widths[i] + 2);
    }
    out += (row.empty() ? "" : row.back()) + "\n";
  }
  return out;
}

}  // namespace

std::string time_text(std::int64_t unix_s) {
  const auto seconds = static_cast<std::time_t>(unix_s);
  std::tm parts{};
  char text[64];
  if (::localtime_r(&seconds, &parts) == nullptr ||
      std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts) == 0) {
    return std::to_string(unix_s);
  }
  return text;
}

std::string json_text(const Json& value) {
  return visible_json(
             value.dump(-1, ' ', false, Json::error_handler_t::replace)) +
         "\n";
}

std::string cell_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "";
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (!value.is_array()) {
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  std::string out;
  for (const Json& each : value) {
    out += (out.empty() ? "" : ",") + cell_text(each);
  }
  return out;
}

std::string rows_text(const Rows& rows, Form form) {
  if (form == Form::kTable) return aligned(rows);
  std::string out;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += (i == 0 ? "" : "\t") + row[i];
    }
    out += '\n';
  }
  return out;
}

std::string list_text(std::span<const Column> columns, const Json& list,
                      Form form) {
  if (form == Form::kJson) return json_text(list);
  Rows rows;
  if (form == Form::kTable) {
    auto& head = rows.emplace_back();
    for (const Column& column : columns) head.emplace_back(column.title);
  }
  for (const Json& object : list) {
    if (!object.is_object()) continue;
    auto& row = rows.emplace_back();
    for (const Column& column : columns) {
      row.push_back(cell_of(object, column, form));
    }
  }
  if (form == Form::kTable && rows.size() == 1) return "there are none\n";
  return rows_text(rows, form);
}

std::string object_text(const Json& object, Form form) {
  if (form == Form::kJson || !object.is_object()) return json_text(object);
  Rows rows;
  for (const auto& [key, value] : object.items()) {
    // A list's lines each, where they are long: ssh keys.
    const bool each_on_a_line = value.is_array() && form == Form::kTable &&
                                cell_text(value).size() > 60;
    if (!each_on_a_line) {
      rows.push_back({visible(key), visible(cell_text(value))});
      continue;
    }
    std::string title = visible(key);
    for (const Json& part : value) {
      rows.push_back({std::exchange(title, ""), visible(cell_text(part))});
    }
  }
  return rows_text(rows, form);
}

}  // namespace fealty::cli
