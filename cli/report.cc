#include "cli/report.h"

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/log.h"

namespace fealty::cli {
namespace {

using Json = nlohmann::ordered_json;

const Json* member(const Json& object, const char* name) {
  const auto at = object.find(name);
  return at == object.end() ? nullptr : &*at;
}

// Texts as they are, all else as JSON writes it.
std::string shown(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "-";
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string cell(const Json& object, const char* name) {
  const Json* const value = member(object, name);
  const std::string text = value == nullptr ? "-" : shown(*value);
  return text.empty() ? "-" : text;
}

bool flag(const Json& object, const char* name) {
  const Json* const value = member(object, name);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

std::string age(const Json& node, std::int64_t now_s) {
  const Json* const seen = member(node, "last_check");
  if (flag(node, "static") || seen == nullptr || !seen->is_number_integer() ||
      seen->get<std::int64_t>() == 0) {
    return "-";
  }
  return std::to_string(std::max<std::int64_t>(
             now_s - seen->get<std::int64_t>(), 0)) + "s";
}

std::string state(const Json& node) {
  if (flag(node, "drained")) return "drained";
  if (flag(node, "sleeping")) return "sleeping";
  const Json* const healthy = member(node, "healthy");
  if (healthy != nullptr && *healthy == false) return "ill";
  return flag(node, "resting") ? "resting" : "up";
}

using Rows = std::vector<std::vector<std::string>>;

void add_pool(const Json& pool, std::int64_t now_s, Rows& rows) {
  const Json* const nodes = member(pool, "nodes");
  const auto add = [&](std::string key, std::string algo) {
    rows.push_back({std::move(key), std::move(algo)});
    return &rows.back();
  };
  if (nodes == nullptr || !nodes->is_array() || nodes->empty()) {
    auto* const row = add(cell(pool, "key"), cell(pool, "algo"));
    row->resize(rows.front().size(), "-");
    return;
  }
  for (const Json& node : *nodes) {
    auto* const row = add(cell(pool, "key"), cell(pool, "algo"));
    for (const char* const name :
         {"name", "proto", "weight", "backup", "ref", "requests", "failcnt"}) {
      row->push_back(cell(node, name));
    }
    row->push_back(age(node, now_s));
    row->push_back(state(node));
  }
}

std::string head_line(const Json& stats) {
  return "fealty-router " + cell(stats, "version") + ", pid " +
         cell(stats, "pid") + ", " + cell(stats, "active_sessions") +
         " connections\n";
}

Result<Json> parse(std::string_view json) {
  Json parsed = Json::parse(json, nullptr, false);
  if (parsed.is_discarded() || !parsed.is_object()) {
    return Error{"the answer is no JSON object: is this a router's admin "
                 "listener?"};
  }
  return parsed;
}

std::string field_line(const Json& object, const char* name,
                       const char* title) {
  const Json* const value = member(object, name);
  if (value == nullptr || value->is_null()) return {};
  return std::string(title) + ": " + log::printable(shown(*value)) + "\n";
}

std::string node_line(const Json& node) {
  const bool eligible = flag(node, "eligible");
  std::string line = (eligible ? "  + " : "  - ") +
                     log::printable(cell(node, "name")) + " (" +
                     log::printable(cell(node, "proto")) + ", weight " +
                     cell(node, "weight");
  if (const std::string level = cell(node, "level"); level != "-") {
    line += ", level " + level;
  }
  line += ")";
  const std::string why = cell(node, "why");
  if (why != "-") line += ": " + log::printable(why);
  return line + "\n";
}

}  // namespace

std::string table(const Rows& rows) {
  std::vector<std::size_t> widths;
  Rows cells = rows;
  for (auto& row : cells) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] = log::printable(row[i]);
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string out;
  for (const auto& row : cells) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths[i] - row[i].size() + 2, ' ');
    }
    out += '\n';
  }
  return out;
}

Result<std::string> stats_report(std::string_view json, std::string_view key,
                                 std::int64_t now_s) {
  auto stats = parse(json);
  if (!stats) return stats.error();
  const Json* const pools = member(*stats, "subscriptions");
  if (pools == nullptr || !pools->is_array()) {
    return Error{"the answer has no subscriptions: is this a router's admin "
                 "listener?"};
  }
  Rows rows = {{"KEY", "ALGO", "NODE", "PROTO", "WEIGHT", "BACKUP", "IN FLIGHT",
                "REQUESTS", "FAILURES", "HEARD", "STATE"}};
  for (const Json& pool : *pools) {
    if (key.empty() || cell(pool, "key") == key) add_pool(pool, now_s, rows);
  }
  if (rows.size() > 1) return head_line(*stats) + table(rows);
  return head_line(*stats) +
         (key.empty() ? "no application is announced\n"
                      : log::printable(key) + " is not announced\n");
}

Result<Explanation> explain_report(std::string_view json) {
  auto parsed = parse(json);
  if (!parsed) return parsed.error();
  Explanation out;
  for (const auto& [name, title] :
       {std::pair{"host", "host"}, {"path", "path"}, {"answer", "answer"},
        {"why", "why"}, {"key", "key"}, {"rule", "rule"},
        {"algorithm", "algorithm"}, {"chooses", "chooses"},
        {"certificate", "certificate"},
        {"certificate_problem", "certificate's problem"},
        {"client_policy", "clients' certificates"}}) {
    out.text += field_line(*parsed, name, title);
  }
  const Json* const nodes = member(*parsed, "nodes");
  if (nodes == nullptr || !nodes->is_array()) return out;
  out.text += "nodes:\n";
  for (const Json& node : *nodes) {
    out.text += node_line(node);
    out.answered = out.answered || flag(node, "eligible");
  }
  return out;
}

}  // namespace fealty::cli
