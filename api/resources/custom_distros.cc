#include "api/identity.h"
#include "api/resources/common.h"
#include "api/resources/resources.h"

namespace fealty::api {
namespace {

constexpr std::string_view kColumns =
    "x.id, x.container_id, x.name, x.path, x.note, x.uuid";
constexpr std::string_view kTables =
    "FROM custom_distros x JOIN containers o ON o.id = x.container_id";

bool is_path(std::string_view text) {
  return text != "." && text != ".." &&
         text.find_first_not_of(
             "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
             "0123456789._-") == text.npos;
}

const Field kName = {"name", Type::kLine, "its name", true, 1};
const Field kPath = {"path", Type::kLine,
                     "a folder below distros/: letters, digits, . _ -", true, 1,
                     255, is_path, "^[A-Za-z0-9._-]+$"};
const Field kNote = {"note", Type::kText, "free text", false, 0, 16'384};

const Schema kCreate = {"NewCustomDistro", {kName, kPath, kNote}};
const Schema kChange = all_optional(kCreate, "CustomDistro");

Json object_of(const Row& row) {
  return {{"id", row.integer("id")},
          {"container", uid_of(row.integer("container_id"))},
          {"name", row.text("name")},
          {"path", row.text("path")},
          {"note", row.text("note")},
          {"uuid", row.text("uuid")}};
}

std::optional<Row> own(const Call& call, Transaction& transaction,
                       std::int64_t id) {
  return transaction.one(
      kColumns, std::string(kTables) + " WHERE x.id = ? AND o.customer_id = ?",
      {id, call.caller.id});
}

Answer listed(Transaction& transaction, const Filter& filter) {
  Json out = Json::array();
  for (const Row& row :
       transaction.select(kColumns, std::string(kTables) + filter.text(),
                          filter.values())) {
    out.push_back({{"id", row.integer("id")},
                   {"name", row.text("name")},
                   {"container", uid_of(row.integer("container_id"))}});
  }
  return ok(std::move(out));
}

Answer list(Call& call, Transaction& transaction) {
  Filter filter;
  filter.add("o.customer_id = ?", {call.caller.id});
  if (auto refused = filter.add_page(call, "x.id")) return *std::move(refused);
  return listed(transaction, filter);
}

Answer list_usable(Call& call, Transaction& transaction) {
  const auto container =
      own_container(call, transaction, call.number(), "id, server_id");
  if (!container) return forbidden();
  Filter filter;
  filter.add("o.customer_id = ? AND o.server_id = ? AND o.id <> ? AND "
             "o.custom_distros_storage = 1",
             {call.caller.id, container->integer("server_id"),
              container->integer("id")});
  if (auto refused = filter.add_page(call, "x.id")) return *std::move(refused);
  return listed(transaction, filter);
}

// Both are unique within a container.
std::optional<Answer> check_unique(Transaction& transaction,
                                   std::int64_t container, const Json& body,
                                   std::int64_t except) {
  for (const char* key : {"name", "path"}) {
    const auto found = body.find(key);
    if (found == body.end()) continue;
    if (transaction.exists("FROM custom_distros WHERE container_id = ? AND " +
                               std::string(key) + " = ? AND id <> ?",
                           {container, stored(*found), except})) {
      return conflict(std::string(key) + ": another one of this container has it");
    }
  }
  return std::nullopt;
}

Answer create(Call& call, Transaction& transaction) {
  const auto container = own_container(call, transaction, call.number(),
                                       "id, custom_distros_storage");
  if (!container || !container->boolean("custom_distros_storage")) {
    return forbidden();
  }
  const std::int64_t container_id = container->integer("id");
  if (auto refused = check_unique(transaction, container_id, call.body, 0)) {
    return *std::move(refused);
  }
  const std::int64_t id = transaction.insert(
      "custom_distros", {{"container_id", container_id},
                         {"name", text_of(call.body, "name")},
                         {"path", text_of(call.body, "path")},
                         {"note", text_of(call.body, "note")},
                         {"uuid", make_uuid()}});
  Json object = object_of(*own(call, transaction, id));
  audit(call, transaction, "custom_distro", id, nullptr, object);
  return created(std::move(object));
}

Answer show(Call& call, Transaction& transaction) {
  const auto row = own(call, transaction, call.number());
  return row ? ok(object_of(*row)) : forbidden();
}

void touch_users(Call& call, Transaction& transaction, std::int64_t id) {
  for (const Row& user : transaction.select(
           "id", "FROM containers WHERE custom_distro_id = ?", {id})) {
    touch_container(call, transaction, user.integer("id"));
  }
}

Answer change(Call& call, Transaction& transaction) {
  const auto row = own(call, transaction, call.number());
  if (!row) return forbidden();
  const std::int64_t id = row->integer("id");
  if (auto refused = check_unique(transaction, row->integer("container_id"),
                                  call.body, id)) {
    return *std::move(refused);
  }
  transaction.update("custom_distros", id,
                     stored_fields(call.body, {"name", "path", "note"}));
  Json object = object_of(*own(call, transaction, id));
  if (object["path"] != row->text("path")) touch_users(call, transaction, id);
  audit(call, transaction, "custom_distro", id, object_of(*row), object);
  return ok(std::move(object));
}

Answer remove(Call& call, Transaction& transaction) {
  const auto row = own(call, transaction, call.number());
  if (!row) return forbidden();
  const std::int64_t id = row->integer("id");
  detach_from_distro(call, transaction, id);
  transaction.remove("custom_distros", id);
  audit(call, transaction, "custom_distro", id, object_of(*row), nullptr);
  return ok_message();
}

}  // namespace

void add_custom_distros(Routes& routes) {
  routes.push_back(with_query(
      {"GET", "/custom_distros", Access::kCustomer, Mode::kRead,
       list, "The customer's custom distros"},
      "after,limit"));
  routes.push_back(with_query(
      {"GET", "/custom_distros/{uid}", Access::kCustomer,
       Mode::kRead, list_usable,
       "Those that this container may use"},
      "after,limit"));
  routes.push_back({"POST", "/custom_distros/{uid}", Access::kCustomer,
                    Mode::kWrite, create,
                    "A new one, of this storage container", &kCreate});
  routes.push_back({"GET", "/custom_distro/{id}", Access::kCustomer,
                    Mode::kRead, show, "One of them"});
  routes.push_back({"POST", "/custom_distro/{id}", Access::kCustomer,
                    Mode::kWrite, change, "Changes it", &kChange});
  routes.push_back({"DELETE", "/custom_distro/{id}", Access::kCustomer,
                    Mode::kWrite, remove, "Takes it away"});
}

}  // namespace fealty::api
