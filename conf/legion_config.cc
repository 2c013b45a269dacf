#include "conf/legion_config.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "conf/document.h"
#include "conf/file.h"
#include "conf/forwarder_config.h"
#include "conf/section.h"
#include "conf/values.h"

namespace fealty::conf {
namespace {

using legion::Event;
using legion::HookAction;
using legion::LegionOptions;
using legion::Wire;

constexpr std::int64_t kHour_ms = 3600 * 1000;
constexpr std::int64_t kDay_ms = 24 * kHour_ms;
constexpr std::int64_t kHour_s = 3600;
constexpr std::uint64_t kValorMost = 1'000'000'000;
constexpr std::size_t kActionsMax = 32;
constexpr std::size_t kActionBytesMax = 4096;
constexpr std::size_t kIvBytesMax = 64;
// A tolerance below this many announcements ends with one lost packet.
constexpr std::int64_t kAnnouncementsLeast = 2;
// The kernel counts an address's lifetime in seconds, and what an announcement's
// way takes comes off the lease: below this there is none for long enough.
constexpr std::int64_t kAddressTolerance_ms = 3'000;

// In the order of legion::Event.
constexpr std::array<std::string_view, legion::kEvents> kEventNames = {
    "setup", "join", "lord", "unlord", "node_joined", "node_left", "death"};

struct ActionName {
  std::string_view name;
  HookAction::Kind kind;
};
constexpr std::array<ActionName, 5> kActionNames = {
    {{"exec", HookAction::Kind::kExec},
     {"ip_add", HookAction::Kind::kIpAdd},
     {"ip_del", HookAction::Kind::kIpDel},
     {"log", HookAction::Kind::kLog},
     {"alarm", HookAction::Kind::kAlarm}}};

std::string_view without_blanks(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

class Reader {
 public:
  Reader(Problems& problems, std::string folder,
         bool (*knows_user)(const std::string&))
      : dump_(problems.file_name()),
        report_{problems, dump_},
        folder_(std::move(folder)),
        knows_user_(knows_user) {}

  LoadedLegion read(const Value& root) {
    Section file(report_, &root, {1, 1}, "", 0);
    legion::Options& options = loaded_.options;
    const Value* const user = file.scalar("user", options.user, UserFormat{});
    if (user != nullptr && knows_user_ != nullptr &&
        !knows_user_(options.user)) {
      file.problem(user->at, "user",
                   "no user '" + options.user + "' on this system to become");
    }
    read_legions(file);
    options.forwarder = read_forwarder(file, folder_, knows_user_);
    check_there_is_something(file);
    read_admin(file);
    if (file.find("alarm") == nullptr) {
      file.dump("alarm", "null");
    } else {
      file.scalar("alarm", options.alarm_command, TextFormat{kActionBytesMax});
    }
    file.finish();
    loaded_.dump = dump_.take();
    return std::move(loaded_);
  }

 private:
  void read_legions(Section& file) {
    auto& legions = loaded_.options.legions;
    file.maps("legions",
              [&](Section& item) { legions.push_back(read_legion(item)); });
    if (legions.size() > legion::kLegionsMax) {
      file.problem(file.find("legions")->at, "legions", "more than 16 of them");
    }
  }

  void check_there_is_something(Section& file) {
    if (!loaded_.options.legions.empty() || loaded_.options.forwarder) return;
    const Value* const list = file.find("legions");
    file.problem(list == nullptr ? file.at() : list->at, "legions",
                 "at least one is needed, with name, address and nodes (or a "
                 "forwarder)");
  }

  LegionOptions read_legion(Section& item) {
    LegionOptions out;
    legion::ElectionOptions& election = out.election;
    const Value* const name =
        item.required("name", out.name, TextFormat{legion::kLegionNameMax});
    const Value* const address =
        item.required("address", out.address, AddressFormat{folder_});
    if (address != nullptr && !out.address.is_ip()) {
      item.problem(address->at, "address",
                   "a Legion speaks UDP: an IP address and a port are needed");
    }
    read_interface(item, out);
    read_wire(item, out);
    read_secret(item, folder_, out.secret, out.secret_file);
    read_nodes(item, out);
    item.required("valor", election.valor, IntegerFormat{0, kValorMost});
    item.scalar("quorum", election.quorum,
                IntegerFormat{1, legion::kMembersMax + 1});
    read_times(item, out);
    item.scalar("scroll", election.scroll,
                TextFormat{legion::kScrollMax, true});
    read_hooks(item, out);
    note_legion(item, name, address, out);
    return out;
  }

  void read_interface(Section& item, LegionOptions& out) {
    if (item.find("interface") == nullptr) {
      return item.dump("interface", "null");
    }
    const Value* const value =
        item.scalar("interface", out.interface, TextFormat{15});
    if (value != nullptr && !legion::is_multicast(out.address)) {
      item.problem(value->at, "interface",
                   "only a multicast address is joined on an interface");
    }
  }

  void read_wire(Section& item, LegionOptions& out) {
    auto place = static_cast<std::size_t>(out.wire);
    item.scalar("wire", place, WordFormat{{"uwsgi", "sealed"}});
    out.wire = static_cast<Wire>(place);
    const bool sealed = out.wire == Wire::kSealed;
    const Value* const weaker =
        item.scalar("accept_weaker", out.accept_weaker, BooleanFormat{});
    if (weaker != nullptr && out.accept_weaker && !sealed) {
      item.problem(weaker->at, "accept_weaker",
                   "uwsgi is the weaker wire already: it is for wire: sealed");
    }
    const bool ciphered = !sealed || out.accept_weaker;
    if (ciphered) {
      item.required("cipher", out.cipher, TextFormat{64});
      item.scalar("iv", out.iv, TextFormat{kIvBytesMax, true});
      return;
    }
    // The sealed wire has its own: what is written for it may stay.
    std::string unused;
    const Value* const cipher = item.find("cipher");
    if (cipher != nullptr && cipher->text != "aes-256-gcm") {
      item.problem(cipher->at, "cipher",
                   "the sealed wire is always aes-256-gcm: leave it out");
    }
    item.dump("cipher", "\"aes-256-gcm\"");
    item.scalar("iv", unused, TextFormat{kIvBytesMax, true});
  }

  void read_nodes(Section& item, LegionOptions& out) {
    item.scalars("nodes", "[]", [&](const Value& node) {
      const auto address = AddressFormat{folder_}.parse(node.text);
      if (!address) {
        item.problem(node.at, "nodes", address.error().message);
        return std::string();
      }
      if (!address->is_ip() || (out.address.is_ip() &&
                                address->family() != out.address.family())) {
        item.problem(node.at, "nodes",
                     cited(node.text) + " is of another kind than `address`");
      }
      out.nodes.push_back(address.value());
      return AddressFormat::show(address.value());
    });
    if (out.nodes.size() > legion::kMembersMax) {
      item.problem(item.find("nodes")->at, "nodes", "more than 64 of them");
    }
    if (out.nodes.empty() && out.address.is_ip() &&
        !legion::is_multicast(out.address)) {
      item.problem(item.at(), "nodes",
                   "nobody would hear this member: name the others, or use a "
                   "multicast address");
    }
  }

  void read_times(Section& item, LegionOptions& out) {
    legion::ElectionOptions& election = out.election;
    item.scalar("freq", election.freq_ms, DurationFormat{50, kHour_ms});
    const Value* const tolerance = item.scalar(
        "tolerance", election.tolerance_ms, DurationFormat{100, kDay_ms});
    if (election.tolerance_ms < kAnnouncementsLeast * election.freq_ms) {
      item.problem(tolerance == nullptr ? item.at() : tolerance->at,
                   "tolerance",
                   "it is less than twice freq: one lost packet would cost the "
                   "Lord its place");
    }
    item.scalar("skew_tolerance", election.skew_tolerance_s,
                SecondsFormat{1, kHour_s});
    item.scalar("death_on_lord_error", election.death_on_lord_error_ms,
                DurationFormat{0, kDay_ms});
    item.scalar("hook_timeout", out.hook_timeout_ms,
                DurationFormat{100, kHour_ms});
  }

  void read_hooks(Section& item, LegionOptions& out) {
    const Value* const map = item.find("hooks");
    Section part = item.section("hooks");
    for (std::size_t i = 0; i < legion::kEvents; ++i) {
      auto& actions = out.hooks[i];
      part.scalars(kEventNames[i], "[]", [&](const Value& value) {
        return read_action(part, kEventNames[i], value, actions);
      });
      if (actions.size() > kActionsMax) {
        part.problem(part.find(kEventNames[i])->at, kEventNames[i],
                     "more than 32 actions");
      }
    }
    part.finish();
    if (map != nullptr) check_addresses(part, map->at, out);
  }

  std::string read_action(Section& part, std::string_view event,
                          const Value& value,
                          std::vector<HookAction>& actions) {
    const std::string_view text = value.text;
    const std::size_t colon = text.find(':');
    const std::string_view name = text.substr(0, colon);
    const auto known =
        std::find_if(kActionNames.begin(), kActionNames.end(),
                     [&](const ActionName& each) { return each.name == name; });
    const std::string_view rest =
        colon == text.npos ? "" : without_blanks(text.substr(colon + 1));
    if (known == kActionNames.end() || rest.empty()) {
      std::vector<std::string_view> names;
      for (const ActionName& each : kActionNames) names.push_back(each.name);
      const std::string_view near = nearest(name, names);
      part.problem(value.at, event,
                   cited(text) + " is no action: exec: COMMAND, ip_add: and "
                                 "ip_del: ADDRESS/PREFIX dev INTERFACE, log: "
                                 "TEXT, alarm: TEXT" +
                       (near.empty() || known != kActionNames.end()
                            ? std::string()
                            : "; did you mean " + std::string(near) + "?"));
      return {};
    }
    HookAction action;
    action.kind = known->kind;
    const auto line = TextFormat{kActionBytesMax}.parse(rest);
    if (!line) {
      part.problem(value.at, event, line.error().message);
      return {};
    }
    action.text = line.value();
    if (action.kind == HookAction::Kind::kIpAdd ||
        action.kind == HookAction::Kind::kIpDel) {
      const auto address = legion::FloatingAddress::parse(rest);
      if (!address) {
        part.problem(value.at, event, address.error().message);
        return {};
      }
      action.address = address.value();
    }
    actions.push_back(std::move(action));
    return yaml_quoted(std::string(name) + ": " + std::string(rest));
  }

  // An address belongs to the Lord: only he adds it, and only one Legion's.
  void check_addresses(Section& part, Position at, const LegionOptions& out) {
    for (std::size_t i = 0; i < legion::kEvents; ++i) {
      const auto problem = [&](const std::string& what) {
        part.problem(at, kEventNames[i], what);
      };
      for (const HookAction& action : out.hooks[i]) {
        if (action.kind != HookAction::Kind::kIpAdd) continue;
        if (i != static_cast<std::size_t>(Event::kLord)) {
          problem("ip_add is for the lord hook: whoever is not Lord must not "
                  "hold the address");
          continue;
        }
        if (out.election.tolerance_ms < kAddressTolerance_ms) {
          problem("ip_add needs a tolerance of 3s or more: the kernel counts an "
                  "address's lifetime in seconds");
        }
        const auto [other, is_new] =
            floating_.emplace(action.address.bytes, out.name);
        if (!is_new && other->second != out.name) {
          problem(cited(action.address.to_string()) + " belongs to the Legion " +
                  cited(other->second) + " already");
        }
      }
    }
  }

  void note_legion(Section& item, const Value* name, const Value* address,
                   const LegionOptions& out) {
    if (name != nullptr && !names_.emplace(out.name, name->at.line).second) {
      item.problem(name->at, "name",
                   cited(out.name) + " is another Legion's in line " +
                       std::to_string(names_[out.name]));
    }
    if (address == nullptr || !out.address.is_ip()) return;
    const std::string text = out.address.to_string();
    if (!addresses_.emplace(text, address->at.line).second) {
      item.problem(address->at, "address",
                   cited(text) + " is taken already in line " +
                       std::to_string(addresses_[text]));
    }
  }

  void read_admin(Section& file) {
    std::map<std::string, int> seen;
    file.scalars("admin", "[]", [&](const Value& item) {
      const auto address = AddressFormat{folder_}.parse(item.text);
      if (!address) {
        file.problem(item.at, "admin", address.error().message);
        return std::string();
      }
      const auto [first, is_new] =
          seen.emplace(address->to_string(), item.at.line);
      if (!is_new) {
        file.problem(item.at, "admin",
                     cited(item.text) + " is taken already in line " +
                         std::to_string(first->second));
      }
      loaded_.options.admin.push_back(address.value());
      return AddressFormat::show(address.value());
    });
  }

  Dump dump_;
  Report report_;
  std::string folder_;
  bool (*knows_user_)(const std::string&);
  LoadedLegion loaded_;
  std::map<std::string, int> names_;
  std::map<std::string, int> addresses_;
  std::map<std::array<std::uint8_t, 16>, std::string> floating_;  // whose it is
};

}  // namespace

Result<LoadedLegion, std::vector<std::string>> parse_legion_config(
    std::string_view text, const std::string& file_name,
    bool (*knows_user)(const std::string&)) {
  Problems problems(file_name);
  const std::optional<Value> root = parse_yaml(text, problems);
  if (!root) return problems.lines();
  if (root->kind == Value::Kind::kNull) {
    problems.add(root->at, "the file is empty; it needs at least legions");
    return problems.lines();
  }
  if (root->kind != Value::Kind::kMap) {
    problems.add(root->at, "a map (key: value) is expected here");
    return problems.lines();
  }
  LoadedLegion loaded =
      Reader(problems, folder_of(file_name), knows_user).read(*root);
  if (!problems.empty()) return problems.lines();
  return loaded;
}

Result<LoadedLegion, std::vector<std::string>> load_legion_config(
    const std::string& path, bool (*knows_user)(const std::string&)) {
  const Result<std::string> text = read_file(path);
  if (!text) return std::vector{text.error().message};
  return parse_legion_config(text.value(), path, knows_user);
}

}  // namespace fealty::conf
