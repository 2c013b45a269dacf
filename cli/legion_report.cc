#include "cli/legion_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/log.h"
#include "cli/report.h"

namespace fealty::cli {
namespace {

using Json = nlohmann::ordered_json;

const Json* member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto at = object.find(name);
  return at == object.end() || at->is_null() ? nullptr : &*at;
}

// For a table, which makes control bytes visible itself.
std::string raw_cell(const Json& object, const char* name) {
  const Json* const value = member(object, name);
  if (value == nullptr) return "-";
  const std::string text =
      value->is_string()
          ? value->get<std::string>()
          : value->dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.empty() ? "-" : text;
}

std::string cell(const Json& object, const char* name) {
  return log::printable(raw_cell(object, name));
}

bool flag(const Json& object, const char* name) {
  const Json* const value = member(object, name);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

std::int64_t number(const Json& object, const char* name) {
  const Json* const value = member(object, name);
  return value != nullptr && value->is_number_integer()
             ? value->get<std::int64_t>()
             : 0;
}

std::string duration(std::int64_t seconds) {
  seconds = std::max<std::int64_t>(seconds, 0);
  if (seconds < 120) return std::to_string(seconds) + "s";
  if (seconds < 7200) return std::to_string(seconds / 60) + "m";
  if (seconds < 172'800) return std::to_string(seconds / 3600) + "h";
  return std::to_string(seconds / 86'400) + "d";
}

std::string lord_line(const Json& legion, std::int64_t now_s) {
  const Json* const lord = member(legion, "lord");
  if (lord == nullptr) return "  Lord: nobody\n";
  std::string line = "  Lord: " + cell(*lord, "name") + " (valor " +
                     cell(*lord, "valor") + ", " + cell(*lord, "uuid") + ")";
  if (const std::int64_t since_s = number(*lord, "since"); since_s > 0) {
    line += " for " + duration(now_s - since_s);
  }
  if (const Json* held = member(legion, "addresses");
      held != nullptr && held->is_array() && !held->empty()) {
    line += ", holds";
    for (const Json& each : *held) {
      if (each.is_string()) line += " " + log::printable(each.get<std::string>());
    }
  }
  return line + "\n";
}

std::string quorum_line(const Json& legion) {
  if (flag(legion, "has_quorum")) {
    return "  Quorum: " + cell(legion, "votes") + " votes of " +
           cell(legion, "quorum") + " needed\n";
  }
  return "  No quorum: " + cell(legion, "why_no_quorum") + "\n";
}

std::string state_of(const Json& node) {
  if (flag(node, "is_lord")) return "Lord";
  if (!flag(node, "counted")) return "not counted";
  return flag(node, "arbiter") ? "arbiter" : "member";
}

std::string own_state(const Json& legion) {
  const std::string role = cell(legion, "role");
  if (role == "lord") return "Lord";
  if (flag(legion, "suspended")) return "dead for a while";
  if (role == "yielding") return "yielding";
  return number(legion, "valor") == 0 ? "arbiter" : "member";
}

std::string members_table(const Json& legion) {
  std::vector<std::vector<std::string>> rows = {
      {"  MEMBER", "ADDRESS", "VALOR", "STATE", "VOTES FOR", "HEARD", "SKEW",
       "SCROLL", "UUID"}};
  rows.push_back({"  this", raw_cell(legion, "addr"), raw_cell(legion, "valor"),
                  own_state(legion), raw_cell(legion, "lord_uuid"), "-", "-",
                  raw_cell(legion, "scroll"), raw_cell(legion, "uuid")});
  if (const Json* nodes = member(legion, "members");
      nodes != nullptr && nodes->is_array()) {
    for (const Json& node : *nodes) {
      rows.push_back({"  " + raw_cell(node, "name"), raw_cell(node, "address"),
                      raw_cell(node, "valor"), state_of(node),
                      raw_cell(node, "vote_uuid"),
                      duration(number(node, "heard_ms_ago") / 1000) + " ago",
                      raw_cell(node, "skew") + "s", raw_cell(node, "scroll"),
                      raw_cell(node, "uuid")});
    }
  }
  return table(rows);
}

// Of an object's numbers, those above 0, by name.
std::string counted(const Json* object) {
  std::string text;
  if (object == nullptr || !object->is_object()) return text;
  for (const auto& [name, value] : object->items()) {
    if (number(*object, name.c_str()) == 0) continue;
    text += (text.empty() ? "" : ", ") + log::printable(name) + " " +
            std::to_string(number(*object, name.c_str()));
  }
  return text;
}

std::string forwarder_text(const Json& forwarder) {
  std::string to;
  if (const Json* each = member(forwarder, "to");
      each != nullptr && each->is_array()) {
    for (const Json& address : *each) {
      if (!address.is_string()) continue;
      to += " " + log::printable(address.get<std::string>());
    }
  }
  const auto shown = [](const std::string& text) {
    return text.empty() ? std::string("nothing") : text;
  };
  return "forwarder (" + cell(forwarder, "wire") + " wire, " +
         cell(forwarder, "senders") + " senders heard)\n  From " +
         cell(forwarder, "listen") + " to" + (to.empty() ? " -" : to) +
         "; from " + cell(forwarder, "receive") + " to " +
         cell(forwarder, "deliver") + "\n  Counted: " +
         shown(counted(member(forwarder, "counters"))) + "\n  Dropped: " +
         shown(counted(member(forwarder, "dropped"))) + "\n";
}

}  // namespace

Result<LegionReport> legion_report(std::string_view json, std::string_view name,
                                   std::int64_t now_s) {
  const Json parsed = Json::parse(json, nullptr, false);
  const Json* const legions = member(parsed, "legions");
  if (legions == nullptr || !legions->is_array()) {
    return Error{"the answer is no JSON with `legions`: is this a Legion "
                 "member's admin listener?"};
  }
  LegionReport report;
  report.has_quorum = true;
  for (const Json& legion : *legions) {
    if (!name.empty() && cell(legion, "legion") != name) continue;
    report.text += (report.found ? "\n" : "") + cell(legion, "legion") + " (" +
                   cell(legion, "wire") + " wire, tolerance " +
                   duration(number(legion, "tolerance_ms") / 1000) + ")\n" +
                   lord_line(legion, now_s) + quorum_line(legion) +
                   members_table(legion);
    report.found = true;
    report.has_quorum = report.has_quorum && flag(legion, "has_quorum");
  }
  if (const Json* forwarder = member(parsed, "forwarder");
      forwarder != nullptr && forwarder->is_object() && name.empty()) {
    report.text += (report.found ? "\n" : "") + forwarder_text(*forwarder);
    report.found = true;
  }
  if (const std::string problem = cell(parsed, "forwarder_problem");
      member(parsed, "forwarder_problem") != nullptr && !problem.empty() &&
      name.empty()) {
    report.text += (report.found ? "\n" : "") +
                   ("forwarder: it is wanted, and waits for its sockets: " +
                    problem + "\n");
    report.found = true;
  }
  return report;
}

}  // namespace fealty::cli
