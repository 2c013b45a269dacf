#include "api/resources/admin_collections.h"
#include "api/resources/common.h"
#include "api/resources/resources.h"

namespace fealty::api {
namespace {

Answer list_audit(Call& call, Transaction& transaction) {
  Filter filter;
  bool valid = true;
  if (auto object = call.request.asked("object")) {
    filter.add("object = ?", {*std::move(object)});
  }
  if (const auto id = asked_number(call, "object_id", valid)) {
    filter.add("object_id = ?", {*id});
  }
  if (!valid) return bad_request("object_id: a number is expected");
  if (auto refused = filter.add_page(call, "id")) return *std::move(refused);
  const auto json = [](const Row& row, std::string_view column) {
    return row.is_null(column) ? Json(nullptr) : Json::parse(row.text(column));
  };
  Json out = Json::array();
  for (const Row& row : transaction.select(
           "id, unix, actor, address, request, object, object_id, before, after",
           "FROM audit" + filter.text(), filter.values())) {
    out.push_back({{"id", row.integer("id")},
                   {"unix", row.integer("unix")},
                   {"actor", row.text("actor")},
                   {"address", row.text("address")},
                   {"request", row.text("request")},
                   {"object", row.text("object")},
                   {"object_id", row.integer("object_id")},
                   {"before", json(row, "before")},
                   {"after", json(row, "after")}});
  }
  return ok(std::move(out));
}

// What a router's key directory is made of; ?server= leaves those with a
// container on it.
Answer list_keys(Call& call, Transaction& transaction) {
  auto server = call.request.asked("server");
  if (!server) return ok(domains_rsa(transaction, "", {}));
  if (!transaction.exists("FROM servers WHERE name = ?", {*server})) {
    return not_found();
  }
  return ok(domains_rsa(transaction,
                        "WHERE u.id IN (SELECT c.customer_id FROM containers c "
                        "JOIN servers s ON s.id = c.server_id WHERE s.name = ?)",
                        {*std::move(server)}));
}

}  // namespace

void add_admin(Routes& routes) {
  for (const AdminCollection* collection :
       {&admin_customers(), &admin_servers(), &admin_datacenters(),
        &admin_distros(), &admin_containers(), &admin_domains(),
        &admin_legions(), &admin_floating_addresses(), &admin_news(),
        &admin_rules(), &admin_custom_services(), &admin_privileged_clients()}) {
    add_collection(routes, *collection);
  }
  routes.push_back(with_query(
      {"GET", "/admin/audit", Access::kAdmin, Mode::kRead,
       list_audit, "Who changed what"},
      "object,object_id,after,limit"));
  routes.push_back(with_query(
      {"GET", "/admin/keys", Access::kAdmin, Mode::kRead, list_keys,
       "The customers' public keys and domains"},
      "server"));
}

}  // namespace fealty::api
