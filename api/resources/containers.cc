#include "api/identity.h"
#include "api/resources/common.h"
#include "api/resources/resources.h"

namespace fealty::api {
namespace {

const Schema kCreate = {
    "NewContainer",
    {{"server", Type::kLine, "the address of a server of yours", true, 1},
     {"name", Type::kLine, "its name", true, 1},
     {"memory", Type::kInteger, "MB", true, 1, kIntegerMax},
     {"storage", Type::kInteger, "MB", true, 1, kIntegerMax}}};

// Plain columns that a container's object shows as they are.
constexpr std::string_view kTexts[] = {
    "jid", "jid_destinations", "pushover_user", "pushover_sound", "note"};
// And those that are sealed.
constexpr std::string_view kSealed[] = {"pushover_token", "pushbullet_token",
                                        "slack_webhook", "secret_uuid"};

Answer list(Call& call, Transaction& transaction) {
  Filter filter;
  filter.add("c.customer_id = ?", {call.caller.id});
  filter.add_tags(call, "container_tags", "c.id");
  if (auto refused = filter.add_page(call, "c.id")) return *std::move(refused);
  const auto tags = tags_by_object(call, transaction, "container_tags");
  const Json none = Json::array();
  ListWriter out;
  transaction.each(kContainerColumns,
                   std::string(kContainerTables) + filter.text(),
                   filter.values(), [&](const RowView& row) {
                     const auto found = tags.find(row.integer(0));
                     write_container(
                         row, found == tags.end() ? none : found->second, out);
                     return !out.is_full();
                   });
  return ok_list(out);
}

Answer create(Call& call, Transaction& transaction) {
  const auto server = transaction.one(
      "id", "FROM servers WHERE address = ? AND owner_id = ?",
      {text_of(call.body, "server"), call.caller.id});
  if (!server) return forbidden();
  const std::int64_t server_id = server->integer("id");
  if (auto refused = check_capacity(transaction, server_id,
                                    integer_of(call.body, "memory"),
                                    integer_of(call.body, "storage"))) {
    return *std::move(refused);
  }
  const std::int64_t id = insert_container(call, transaction, call.caller.id,
                                           server_id, call.body);
  audit(call, transaction, "container", id, nullptr, call.body);
  return created({{"message", "Created"}, {"uid", uid_of(id)}});
}

Answer show(Call& call, Transaction& transaction) {
  const auto row = own_container(call, transaction, call.number());
  if (!row) return forbidden();
  Json object = container_object(transaction, row->integer("id"));
  const auto sealed = transaction.one(
      "uuid, pushover_token, pushbullet_token, slack_webhook, secret_uuid",
      "FROM containers WHERE id = ?", {row->integer("id")});
  if (!open_secrets(call, *sealed, kSealed, object)) return kept_shut();
  return ok(std::move(object));
}

Answer change(Call& call, Transaction& transaction) {
  Answer answer = update_container(call, transaction);
  return answer.refuses() ? answer : show(call, transaction);
}

Answer regenerate_secret(Call& call, Transaction& transaction) {
  const auto row = own_container(call, transaction, call.number(), "id, uuid");
  if (!row) return forbidden();
  const std::int64_t id = row->integer("id");
  const std::string secret = make_uuid();
  set_secret(call, transaction, *row, "secret_uuid", secret);
  touch_container(call, transaction, id);
  return ok({{"message", "Ok"}, {"secret_uuid", secret}});
}

Json numbers(const Rows& rows) {
  Json out = Json::array();
  for (const Row& row : rows) out.push_back(uid_of(row.integer("linked_id")));
  return out;
}

}  // namespace

Json container_object(Transaction& transaction, std::int64_t id) {
  const Json tags = tags_of(transaction, "container_tags", id);
  ListWriter list;
  transaction.each(kContainerColumns,
                   std::string(kContainerTables) + " WHERE c.id = ?", {id},
                   [&](const RowView& summary) {
                     write_container(summary, tags, list);
                     return true;
                   });
  const auto row = transaction.one(
      "server_id, jid, jid_destinations, pushover_user, pushover_sound, note, "
      "alarm_freq, quota_threshold, nofollow, custom_distros_storage, ssh_keys",
      "FROM containers WHERE id = ?", {id});
  Json object = std::move(Json::parse(list.take()).front());
  for (const std::string_view key : kTexts) {
    object[std::string(key)] = row->text(key);
  }
  object["alarm_freq"] = row->integer("alarm_freq");
  object["quota_threshold"] = row->integer("quota_threshold");
  object["nofollow"] = row->boolean("nofollow");
  object["custom_distros_storage"] = row->boolean("custom_distros_storage");
  object["ssh_keys"] = Json::parse(row->text("ssh_keys"));
  object["linked_to"] = numbers(transaction.select(
      "linked_id",
      "FROM container_links WHERE container_id = ? ORDER BY linked_id", {id}));
  Json addresses = Json::array();
  for (const Row& legion : transaction.select(
           "l.address", "FROM legions l JOIN legion_nodes n ON "
                        "n.legion_id = l.id WHERE n.server_id = ? ORDER BY l.id",
           {row->integer("server_id")})) {
    addresses.push_back(legion.text("address"));
  }
  object["legion_address"] = std::move(addresses);
  return object;
}

void add_containers(Routes& routes) {
  for (const std::string_view path : {"/containers", "/me/containers"}) {
    routes.push_back(with_query(
      {"GET", path, Access::kCustomer, Mode::kRead, list,
       "The customer's containers"},
      "tags,after,limit"));
  }
  routes.push_back({"POST", "/containers", Access::kCustomer, Mode::kWrite,
                    create, "A new container on a server of one's own",
                    &kCreate, nullptr, nullptr, 403});
  routes.push_back({"GET", "/containers/{uid}", Access::kCustomer, Mode::kRead,
                    show, "All of a container"});
  routes.push_back({"POST", "/containers/{uid}", Access::kCustomer,
                    Mode::kWrite, change,
                    "Changes it: all that was asked for, or nothing",
                    &container_schema()});
  routes.push_back({"POST", "/regenerate_secret_uuid/{uid}", Access::kCustomer,
                    Mode::kWrite, regenerate_secret, "Another secret uuid"});
}

}  // namespace fealty::api
