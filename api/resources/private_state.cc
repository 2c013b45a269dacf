#include "api/identity.h"
#include "api/resources/common.h"
#include "api/resources/resources.h"

namespace fealty::api {
namespace {

// The address of every other server, or of those in a Legion with this one; with
// the time of the last change of any server or Legion, deletions included, which
// grows with each (admin_platform.cc).
Answer list_nodes(Transaction& transaction, std::string_view where,
                  Values values) {
  Json nodes = Json::array();
  for (const Row& row : transaction.select(
           "address", "FROM servers " + std::string(where), values)) {
    nodes.push_back(row.text("address"));
  }
  // A store that has seen no change since it is kept has the servers' own.
  const auto noted = transaction.one(
      "value", "FROM settings WHERE name = 'nodes_changed'");
  const std::int64_t unix =
      noted ? std::stoll(noted->text("value"))
            : transaction.one("max(mtime) AS last", "FROM servers")->integer("last");
  return ok({{"unix", unix}, {"nodes", std::move(nodes)}});
}
Answer list_all_nodes(Call& call, Transaction& transaction) {
  return list_nodes(transaction, "WHERE id <> ? ORDER BY id",
                    {call.caller.id});
}
Answer list_legion_nodes(Call& call, Transaction& transaction) {
  return list_nodes(transaction,
                    "WHERE id <> ? AND id IN (SELECT o.server_id FROM "
                    "legion_nodes o JOIN legion_nodes n ON n.legion_id = "
                    "o.legion_id WHERE n.server_id = ?) ORDER BY id",
                    {call.caller.id, call.caller.id});
}

// Those with a container here only.
Answer list_domains_rsa(Call& call, Transaction& transaction) {
  return ok(domains_rsa(transaction,
                        "WHERE u.id IN (SELECT customer_id FROM containers "
                        "WHERE server_id = ?)", {call.caller.id}));
}

Answer list_loopboxes(Call& call, Transaction& transaction) {
  Filter filter;
  filter.add("c.server_id = ?", {call.caller.id});
  if (auto refused = filter.add_page(call, "l.id", kWhole)) {
    return *std::move(refused);
  }
  Json out = Json::array();
  for (const Row& row : transaction.select(
           "l.id, l.container_id, l.filename, l.mountpoint, l.ro",
           "FROM loopboxes l JOIN containers c ON c.id = l.container_id" +
               filter.text(), filter.values())) {
    out.push_back({{"id", row.integer("id")},
                   {"uid", uid_of(row.integer("container_id"))},
                   {"filename", row.text("filename")},
                   {"mountpoint", row.text("mountpoint")},
                   {"ro", row.boolean("ro")}});
  }
  return ok(std::move(out));
}

Answer list_portmappings(Call& call, Transaction& transaction) {
  Json out = Json::array();
  for (const Row& row : transaction.select(
           "proto, public_port, container_id, private_port",
           "FROM portmappings WHERE server_id = ? ORDER BY id",
           {call.caller.id})) {
    out.push_back({{"proto", row.text("proto")},
                   {"public_port", row.integer("public_port")},
                   {"private_ip", container_ip(row.integer("container_id"))},
                   {"private_port", row.integer("private_port")}});
  }
  return ok(std::move(out));
}

Answer list_custom_services(Call& call, Transaction& transaction) {
  Filter filter;
  filter.add("server_id = ?", {call.caller.id});
  if (auto refused = filter.add_page(call, "id", kWhole)) {
    return *std::move(refused);
  }
  Json out = Json::array();
  for (const Row& row : transaction.select(
           "id, customer_id, config, mtime",
           "FROM custom_services" + filter.text(), filter.values())) {
    out.push_back({{"customer", row.integer("customer_id")},
                   {"config", row.text("config")},
                   {"mtime", row.integer("mtime")},
                   {"id", row.integer("id")}});
  }
  return ok(std::move(out));
}

constexpr std::string_view kSecret[] = {"secret_uuid"};

Answer list_secret_uuids(Call& call, Transaction& transaction) {
  Filter filter;
  if (auto refused = filter.add_page(call, "id", kWhole)) {
    return *std::move(refused);
  }
  Json out = Json::array();
  for (const Row& row : transaction.select(
           "id, uuid, secret_uuid", "FROM containers" + filter.text(),
           filter.values())) {
    Json one = {{"uid", uid_of(row.integer("id"))}, {"uuid", row.text("uuid")}};
    if (!open_secrets(call, row, kSecret, one)) return kept_shut();
    out.push_back(std::move(one));
  }
  return ok(std::move(out));
}

}  // namespace

Json domains_rsa(Transaction& transaction, std::string_view where,
                 const Values& values) {
  Json out = Json::array();
  std::int64_t last = 0;
  transaction.each(
      "u.id, u.rsa_public, d.name, d.mtime",
      "FROM customers u LEFT JOIN domains d ON d.customer_id = u.id " +
          std::string(where) + " ORDER BY u.id, d.name",
      values, [&](const RowView& row) {
        if (row.integer(0) != last) {
          last = row.integer(0);
          out.push_back({{"rsa", row.text(1)}, {"domains", Json::array()}});
        }
        if (!row.is_null(2)) {
          out.back()["domains"].push_back(
              {{"name", row.text(2)}, {"mtime", row.integer(3)}});
        }
        return true;
      });
  return out;
}

void add_private_state(Routes& routes) {
  add_for_servers(routes, "/private/domains/rsa", list_domains_rsa,
                  "The customers' public keys and domains");
  add_for_servers(routes, "/private/legion/nodes", list_legion_nodes,
                  "The other servers of its Legions");
  add_for_servers(routes, "/private/nodes", list_all_nodes,
                  "All other servers");
  add_for_servers(routes, "/private/loopboxes", list_loopboxes,
                  "Its loopboxes", "after,limit");
  add_for_servers(routes, "/private/portmappings", list_portmappings,
                  "Its port mappings");
  add_for_servers(routes, "/private/custom_services", list_custom_services,
                  "Its custom services", "after,limit");
  routes.push_back(with_query(
      {"GET", "/privileged/secret_uuids", Access::kPrivileged, Mode::kRead,
       list_secret_uuids, "Every container's secret uuid, for listed addresses"},
      "after,limit"));
}

}  // namespace fealty::api
