#include <algorithm>

#include "api/identity.h"
#include "api/resources/admin_collections.h"
#include "api/resources/common.h"
#include "base/address.h"

namespace fealty::api {
namespace {

using Kind = AdminField::Kind;

const Field kNote = {"note", Type::kText, "free text", false, 0, 16'384};
const Field kIpAddress = {"address", Type::kLine, kAddressAbout, true, 2, 45,
                          is_ip_address};

Field named(std::string_view about) {
  return {"name", Type::kLine, about, true, 1};
}

// ------------------------------------------------------- servers, Legions

// Servers are told when the lists of them last changed: private_state.cc.
void note_nodes(Call& call, Transaction& transaction, const Json&, const Json&) {
  const auto row = transaction.one(
      "value", "FROM settings WHERE name = 'nodes_changed'");
  const std::int64_t unix =
      std::max(call.now(), row ? std::int64_t{std::stoll(row->text("value"))} + 1 : 0);
  transaction.run("DELETE FROM settings WHERE name = 'nodes_changed'");
  transaction.run("INSERT INTO settings (name, value) VALUES ('nodes_changed', ?)",
                  {std::to_string(unix)});
}

// --------------------------------------------------------------- servers

// What its containers have cannot be taken away again.
std::optional<Answer> check_server(Call& call, Transaction& transaction,
                                   std::int64_t id, Fields&) {
  const auto used = transaction.one(
      "COALESCE(sum(memory), 0) AS memory, COALESCE(sum(storage), 0) AS storage",
      "FROM containers WHERE server_id = ?", {id});
  for (const char* key : {"memory", "storage"}) {
    if (call.body.contains(key) &&
        integer_of(call.body, key) < used->integer(key)) {
      return conflict(std::string(key) + ": its containers have more");
    }
  }
  return std::nullopt;
}

// --------------------------------------------------------------- legions

constexpr std::int64_t kWeight = 9'999;

std::optional<Answer> set_nodes(Call& call, Transaction& transaction,
                                std::int64_t id) {
  static const Schema node = {
      "LegionNode",
      {{"server", Type::kLine, "a server's name", true, 1},
       {"weight", Type::kInteger, "who is Lord first", false, 0, kIntegerMax}}};
  const auto nodes = call.body.find("nodes");
  if (nodes == call.body.end()) return std::nullopt;
  transaction.run("DELETE FROM legion_nodes WHERE legion_id = ?", {id});
  for (const Json& item : *nodes) {
    const Status valid = validate(node, item);
    if (!valid) return bad_request("nodes: " + valid.error().message);
    const auto server =
        item.contains("server")
            ? transaction.one("id", "FROM servers WHERE name = ?",
                              {text_of(item, "server")})
            : std::nullopt;
    if (!server) return bad_request("nodes: server: there is none so called");
    transaction.run(
        "INSERT INTO legion_nodes (legion_id, server_id, weight) "
        "VALUES (?, ?, ?)",
        {id, server->integer("id"), integer_of(item, "weight", kWeight)});
  }
  return std::nullopt;
}

void attach_nodes(Transaction& transaction, std::vector<Json>& page) {
  for (Json& legion : page) legion["nodes"] = Json::array();
  auto at = page.begin();
  for (const Row& row : transaction.select(
           "n.legion_id, s.name, n.weight",
           "FROM legion_nodes n JOIN servers s ON s.id = n.server_id "
           "WHERE n.legion_id BETWEEN ? AND ? ORDER BY n.legion_id, s.id",
           {page.front()["id"].get<std::int64_t>(),
            page.back()["id"].get<std::int64_t>()})) {
    while (at != page.end() && (*at)["id"] < row.integer("legion_id")) ++at;
    if (at == page.end()) break;
    if ((*at)["id"] != row.integer("legion_id")) continue;
    (*at)["nodes"].push_back({{"server", row.text("name")},
                              {"weight", row.integer("weight")}});
  }
}

}  // namespace

bool is_ip_address(std::string_view text) {
  const bool is_v6 = text.find(':') != text.npos;
  const auto parsed = Address::parse(is_v6 ? "[" + std::string(text) + "]:1"
                                           : std::string(text) + ":1");
  return parsed && parsed->is_ip() && parsed->host() == text;
}

const AdminCollection& admin_servers() {
  static const Schema create = {
      "AdminNewServer",
      {named("its name"), kIpAddress,
       {"hd", Type::kLine, "its disk", true},
       {"memory", Type::kInteger, "MB", true, 1, kIntegerMax},
       {"storage", Type::kInteger, "MB", true, 1, kIntegerMax},
       {"owner", Type::kLine, "a customer's username; empty: nobody's"},
       {"weight", Type::kInteger, "its place among others", false, 0, kIntegerMax},
       {"datacenter", Type::kLine, "a datacenter's name"},
       {"etc_resolv_conf", Type::kText, "for its containers", false, 0, 16'384},
       {"etc_hosts", Type::kText, "for its containers", false, 0, 16'384},
       {"ssd", Type::kFlag, "its disk is one"},
       {"subject", Type::kText,
        "the subject of its client certificate, to be set: empty is any that the "
        "router took",
        false, 0, 1024},
       kNote}};
  static const AdminCollection collection = {
      .path = "/admin/servers",
      .item_path = "/admin/servers/{id}",
      .table = "servers",
      .object = "server",
      .create = create,
      .change = all_optional(create, "AdminServer"),
      .fields = {{"name"}, {"address"}, {"hd"}, {"memory", Kind::kInteger},
                 {"storage", Kind::kInteger},
                 {"owner", Kind::kReference, "owner_id", "customers", "username"},
                 {"weight", Kind::kInteger, {}, {}, {}, true, kWeight},
                 {"datacenter", Kind::kReference, "datacenter_id", "datacenters", "name"},
                 {"etc_resolv_conf"}, {"etc_hosts"}, {"ssd", Kind::kFlag}, {"subject"},
                 {"note"}},
      .shown = {{"free_memory", Kind::kInteger,
                 "t.memory - (SELECT COALESCE(sum(c.memory), 0) FROM "
                 "containers c WHERE c.server_id = t.id)"},
                {"free_storage", Kind::kInteger,
                 "t.storage - (SELECT COALESCE(sum(c.storage), 0) FROM "
                 "containers c WHERE c.server_id = t.id)"}},
      .has_uuid = true,
      .has_mtime = true,
      .check = check_server,
      .changed = note_nodes,
      .dependents = {{"containers", "server_id"},
                     {"custom_services", "server_id"},
                     {"floating_addresses", "mapped_to_server_id"}}};
  return collection;
}

const AdminCollection& admin_datacenters() {
  static const Schema create = {
      "AdminNewDatacenter",
      {named("its name"),
       {"description", Type::kText, "free text", false, 0, 16'384}, kNote}};
  static const AdminCollection collection = {
      .path = "/admin/datacenters",
      .item_path = "/admin/datacenters/{id}",
      .table = "datacenters",
      .object = "datacenter",
      .create = create,
      .change = all_optional(create, "AdminDatacenter"),
      .fields = {{"name"}, {"description"}, {"note"}},
      .dependents = {{"servers", "datacenter_id"}}};
  return collection;
}

const AdminCollection& admin_distros() {
  static const Schema create = {
      "AdminNewDistro",
      {named("its name"),
       {"path", Type::kLine, "where its tree lies, 1024 bytes at most", true, 1,
        1024, has_1024_bytes_at_most},
       kNote}};
  static const AdminCollection collection = {
      .path = "/admin/distros",
      .item_path = "/admin/distros/{id}",
      .table = "distros",
      .object = "distro",
      .create = create,
      .change = all_optional(create, "AdminDistro"),
      .fields = {{"name"}, {"path"}, {"note"}},
      .has_uuid = true,
      .dependents = {{"containers", "distro_id"}}};
  return collection;
}

const AdminCollection& admin_legions() {
  static const Schema create = {
      "AdminNewLegion",
      {named("its name"), kIpAddress,
       {"key", Type::kLine, "its secret; never shown", true, 1, 1024},
       {"customer", Type::kLine, "a customer's username; empty: nobody's"},
       {"quorum", Type::kInteger, "votes that make a Lord", false, 0, 1024},
       {"nodes", Type::kObjects, "{server, weight}", false, 0, 64}, kNote}};
  static const AdminCollection collection = {
      .path = "/admin/legions",
      .item_path = "/admin/legions/{id}",
      .table = "legions",
      .object = "legion",
      .create = create,
      .change = all_optional(create, "AdminLegion"),
      .fields = {{"name"}, {"address"}, {"key", Kind::kSecret, "secret"},
                 {"customer", Kind::kReference, "customer_id", "customers", "username"},
                 {"quorum", Kind::kInteger}, {"note"}},
      .has_uuid = true,
      .after = set_nodes,
      .changed = note_nodes,
      .dependents = {{"floating_addresses", "legion_id"}},
      .attach = attach_nodes};
  return collection;
}

const AdminCollection& admin_floating_addresses() {
  static const Schema create = {
      "AdminNewFloatingAddress",
      {kIpAddress,
       {"customer", Type::kLine, "a customer's username; empty: nobody's"},
       {"legion", Type::kLine, "a Legion's name; empty: none"},
       {"mapped_to_server", Type::kLine, "a server's name; empty: none"},
       kNote}};
  static const AdminCollection collection = {
      .path = "/admin/floating_addresses",
      .item_path = "/admin/floating_addresses/{id}",
      .table = "floating_addresses",
      .object = "floating_address",
      .create = create,
      .change = all_optional(create, "AdminFloatingAddress"),
      .fields = {{"address"},
                 {"customer", Kind::kReference, "customer_id", "customers", "username"},
                 {"legion", Kind::kReference, "legion_id", "legions", "name"},
                 {"mapped_to_server", Kind::kReference, "mapped_to_server_id",
                  "servers", "name"},
                 {"note"}}};
  return collection;
}

const AdminCollection& admin_privileged_clients() {
  static const Schema create = {"AdminNewPrivilegedClient",
                                {named("its name"), kIpAddress}};
  static const AdminCollection collection = {
      .path = "/admin/privileged_clients",
      .item_path = "/admin/privileged_clients/{id}",
      .table = "privileged_clients",
      .object = "privileged_client",
      .create = create,
      .change = all_optional(create, "AdminPrivilegedClient"),
      .fields = {{"name"}, {"address"}}};
  return collection;
}

}  // namespace fealty::api
