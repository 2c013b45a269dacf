#include "api/domain_check.h"
#include "api/identity.h"
#include "api/metrics.h"
#include "api/resources/common.h"
#include "api/resources/resources.h"

namespace fealty::api {
namespace {

const Schema kName = {"DomainName", {domain_name_field()}};
const Schema kChange = {"Domain",
                        {{"note", Type::kText, "free text", false, 0, 16'384},
                         {"tags", Type::kLines, "names of tags", false, 0, 64}}};

Json object_of(const Row& row, Json tags) {
  return {{"id", row.integer("id")},
          {"name", row.text("name")},
          {"uuid", row.text("uuid")},
          {"tags", std::move(tags)}};
}

Json full_object(Transaction& transaction, const Row& row) {
  Json object =
      object_of(row, tags_of(transaction, "domain_tags", row.integer("id")));
  object["note"] = row.text("note");
  return object;
}

std::optional<Row> own(const Call& call, Transaction& transaction,
                       std::string_view column, const Value& value) {
  return transaction.one("id, name, uuid, note",
                         "FROM domains WHERE " + std::string(column) +
                             " = ? AND customer_id = ?",
                         {value, call.caller.id});
}

Answer list(Call& call, Transaction& transaction) {
  Filter filter;
  filter.add("customer_id = ?", {call.caller.id});
  filter.add_tags(call, "domain_tags", "id");
  if (auto refused = filter.add_page(call, "id")) return *std::move(refused);
  const auto tags = tags_by_object(call, transaction, "domain_tags");
  const Json none = Json::array();
  ListWriter out;
  transaction.each("id, name, uuid", "FROM domains" + filter.text(),
                   filter.values(), [&](const RowView& row) {
                     const auto found = tags.find(row.integer(0));
                     out.begin_object();
                     out.add("id", row.integer(0));
                     out.add("name", row.text(1));
                     out.add("uuid", row.text(2));
                     out.add("tags", found == tags.end() ? none : found->second);
                     out.end_object();
                     return !out.is_full();
                   });
  return ok_list(out);
}

// The DNS is asked before anything is written; a name that is taken by then is
// told by the transaction.
std::optional<Answer> check_ownership(Call& call) {
  const auto owned =
      call.tools.domains.check(text_of(call.body, "name"), call.caller.uuid);
  if (owned) return std::nullopt;
  return owned.error().busy ? busy() : forbidden(owned.error().reason);
}

// Anybody may see that a domain is served here, by asking for it.
Answer check_free(Call& call, Transaction& transaction) {
  return transaction.exists("FROM domains WHERE name = ?",
                            {text_of(call.body, "name")})
             ? conflict("name: it is mapped already")
             : ok_message();
}

Answer create(Call& call, Transaction& transaction) {
  Answer taken = check_free(call, transaction);
  if (taken.refuses()) return taken;
  const std::string name = text_of(call.body, "name");
  const std::int64_t id = transaction.insert("domains",
                                             {{"name", name},
                                              {"customer_id", call.caller.id},
                                              {"uuid", make_uuid()},
                                              {"note", std::string()},
                                              {"mtime", call.now()}});
  Json object = full_object(transaction, *own(call, transaction, "id", id));
  audit(call, transaction, "domain", id, nullptr, object);
  return created(std::move(object));
}

Answer remove_row(Call& call, Transaction& transaction,
                  const std::optional<Row>& row) {
  if (!row) return not_found();
  const Json before = full_object(transaction, *row);
  transaction.remove("domains", row->integer("id"));
  audit(call, transaction, "domain", row->integer("id"), before, nullptr);
  return ok_message();
}
Answer remove_by_name(Call& call, Transaction& transaction) {
  return remove_row(call, transaction,
                    own(call, transaction, "name", text_of(call.body, "name")));
}
Answer remove_by_id(Call& call, Transaction& transaction) {
  return remove_row(call, transaction,
                    own(call, transaction, "id", call.number()));
}

Answer show(Call& call, Transaction& transaction) {
  const auto row = own(call, transaction, "id", call.number());
  return row ? ok(full_object(transaction, *row)) : not_found();
}

Answer change(Call& call, Transaction& transaction) {
  const auto row = own(call, transaction, "id", call.number());
  if (!row) return not_found();
  const std::int64_t id = row->integer("id");
  const Json before = full_object(transaction, *row);
  transaction.update("domains", id, stored_fields(call.body, {"note"}));
  if (call.body.contains("tags")) {
    if (auto refused = set_tags(call, transaction, "domain_tags", id,
                                call.body["tags"])) {
      return *std::move(refused);
    }
  }
  Json object = full_object(transaction, *own(call, transaction, "id", id));
  audit(call, transaction, "domain", id, before, object);
  return ok(std::move(object));
}

Answer list_containers(Call& call, Transaction& transaction) {
  const auto row = own(call, transaction, "id", call.number());
  if (!row) return not_found();
  Json out = Json::array();
  for (const Row& container : transaction.select(
           "DISTINCT container_id",
           "FROM domain_metrics WHERE domain_id = ? AND unix >= ? "
           "ORDER BY container_id",
           {row->integer("id"), start_of_day(call.now())})) {
    out.push_back(uid_of(container.integer("container_id")));
  }
  return ok(std::move(out));
}

Answer list_of_container(Call& call, Transaction& transaction) {
  const auto container = own_container(call, transaction, call.number());
  if (!container) return forbidden();
  Filter filter;
  filter.add("customer_id = ?", {call.caller.id});
  filter.add("id IN (SELECT domain_id FROM domain_metrics "
             "WHERE container_id = ? AND unix >= ?)",
             {container->integer("id"), start_of_day(call.now())});
  if (auto refused = filter.add_page(call, "id")) return *std::move(refused);
  auto tags = tags_by_object(call, transaction, "domain_tags");
  Json out = Json::array();
  for (const Row& row : transaction.select("id, name, uuid",
                                           "FROM domains" + filter.text(),
                                           filter.values())) {
    const auto found = tags.find(row.integer("id"));
    out.push_back(object_of(
        row, found == tags.end() ? Json::array() : std::move(found->second)));
  }
  return ok(std::move(out));
}

}  // namespace

void add_domains(Routes& routes) {
  routes.push_back(with_query(
      {"GET", "/domains", Access::kCustomer, Mode::kRead, list,
       "The customer's domains"},
      "tags,after,limit"));
  routes.push_back({"POST", "/domains", Access::kCustomer, Mode::kWrite, create,
                    "Maps one whose TXT record says uwsgi:UUID of the customer",
                    &kName, check_ownership, check_free});
  routes.push_back({"DELETE", "/domains", Access::kCustomer, Mode::kWrite,
                    remove_by_name, "Takes it away", &kName});
  routes.push_back({"GET", "/domains/{id}", Access::kCustomer, Mode::kRead,
                    show, "One of them"});
  routes.push_back({"POST", "/domains/{id}", Access::kCustomer, Mode::kWrite,
                    change, "Changes it", &kChange});
  routes.push_back({"DELETE", "/domains/{id}", Access::kCustomer, Mode::kWrite,
                    remove_by_id, "Takes it away"});
  routes.push_back({"GET", "/domains/{id}/containers", Access::kCustomer,
                    Mode::kRead, list_containers,
                    "The containers that served it today"});
  routes.push_back(with_query(
      {"GET", "/containers/{uid}/domains", Access::kCustomer, Mode::kRead,
       list_of_container, "The domains that this container served today"},
      "after,limit"));
}

}  // namespace fealty::api
