#include "api/resources/common.h"

#include <algorithm>

#include "api/credentials.h"
#include "api/domain_check.h"
#include "api/identity.h"

namespace fealty::api {

std::optional<Row> own_container(const Call& call, Transaction& transaction,
                                 std::int64_t uid, std::string_view columns) {
  return transaction.one(columns,
                         "FROM containers WHERE id = ? AND customer_id = ?",
                         {id_of(uid), call.caller.id});
}

Json tags_of(Transaction& transaction, std::string_view table,
             std::int64_t object) {
  Json names = Json::array();
  for (const Row& row : transaction.select(
           "t.name", "FROM " + std::string(table) +
                         " m JOIN tags t ON t.id = m.tag_id "
                         "WHERE m.object_id = ? ORDER BY t.name", {object})) {
    names.push_back(row.text("name"));
  }
  return names;
}

std::map<std::int64_t, Json> tags_by_object(const Call& call,
                                            Transaction& transaction,
                                            std::string_view table) {
  std::map<std::int64_t, Json> found;
  for (const Row& row : transaction.select(
           "m.object_id, t.name",
           "FROM tags t JOIN " + std::string(table) +
               " m ON m.tag_id = t.id WHERE t.customer_id = ? ORDER BY t.name",
           {call.caller.id})) {
    found[row.integer("object_id")].push_back(row.text("name"));
  }
  return found;
}

std::optional<Answer> set_tags(const Call& call, Transaction& transaction,
                               std::string_view table, std::int64_t object,
                               const Json& names) {
  const std::string name_of_table(table);
  transaction.run("DELETE FROM " + name_of_table + " WHERE object_id = ?",
                  {object});
  std::vector<std::string> wanted = names;
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  for (const std::string& name : wanted) {
    const auto tag = transaction.one(
        "id", "FROM tags WHERE customer_id = ? AND name = ?",
        {call.caller.id, name});
    if (!tag) return bad_request("tags: there is no tag '" + name + "'");
    transaction.run("INSERT INTO " + name_of_table +
                        " (object_id, tag_id) VALUES (?, ?)",
                    {object, tag->integer("id")});
  }
  return std::nullopt;
}

std::optional<Answer> check_capacity(Transaction& transaction,
                                     std::int64_t server, std::int64_t memory,
                                     std::int64_t storage,
                                     std::int64_t except) {
  const auto has = transaction.one("memory, storage",
                                   "FROM servers WHERE id = ?", {server});
  const auto used = transaction.one(
      "COALESCE(sum(memory), 0) AS memory, COALESCE(sum(storage), 0) AS storage",
      "FROM containers WHERE server_id = ? AND id <> ?", {server, except});
  for (const auto& [name, wanted] :
       {std::pair("memory", memory), std::pair("storage", storage)}) {
    const std::int64_t left = has->integer(name) - used->integer(name);
    if (wanted > left) {
      return conflict(std::string(name) + ": the server has " +
                      std::to_string(std::max<std::int64_t>(left, 0)) +
                      " MB left");
    }
  }
  return std::nullopt;
}

std::string sealed_for_container(const Call& call, std::string_view key,
                                 std::string_view uuid,
                                 std::string_view secret) {
  return call.tools.sealer.seal(secret, purpose_of("containers", key, uuid));
}

bool open_secrets(const Call& call, const Row& row,
                  std::span<const std::string_view> keys, Json& out) {
  for (const std::string_view key : keys) {
    auto opened = call.tools.sealer.open(
        row.text(key), purpose_of("containers", key, row.text("uuid")));
    if (!opened) return false;
    out[std::string(key)] = *std::move(opened);
  }
  return true;
}

Answer kept_shut() { return unavailable("a secret cannot be opened"); }

void set_secret(const Call& call, Transaction& transaction, const Row& row,
                std::string_view key, std::string_view secret) {
  const std::int64_t id = row.integer("id");
  transaction.update(
      "containers", id,
      {{std::string(key),
        sealed_for_container(call, key, row.text("uuid"), secret)}});
  audit_secret(call, transaction, "container", id, key);
}

Fields new_container_fields(const Call& call, const std::string& uuid) {
  Fields fields;
  for (const char* key : {"secret_uuid", "alarm_key"}) {
    fields.emplace_back(key, sealed_for_container(call, key, uuid, make_uuid()));
  }
  for (const char* key : {"note", "jid", "jid_secret", "jid_destinations",
                          "pushover_user", "pushover_token", "pushover_sound",
                          "pushbullet_token", "slack_webhook"}) {
    fields.emplace_back(key, std::string());
  }
  for (const auto& [key, value] :
       {std::pair("custom_distros_storage", 0), std::pair("nofollow", 0),
        std::pair("quota_threshold", 90), std::pair("alarm_freq", 60)}) {
    fields.emplace_back(key, std::int64_t{value});
  }
  fields.emplace_back("ssh_keys", std::string("[]"));
  fields.emplace_back("ssh_keys_mtime", call.now());
  fields.emplace_back("mtime", call.now());
  return fields;
}

std::int64_t insert_container(const Call& call, Transaction& transaction,
                              std::int64_t customer, std::int64_t server,
                              const Json& body) {
  const std::string uuid = make_uuid();
  Fields fields = new_container_fields(call, uuid);
  fields.emplace_back("uuid", uuid);
  for (auto& field : stored_fields(body, {"name", "memory", "storage"})) {
    fields.push_back(std::move(field));
  }
  fields.emplace_back("customer_id", customer);
  fields.emplace_back("server_id", server);
  return transaction.insert("containers", fields);
}

void write_container(const RowView& row, const Json& tags, ListWriter& out) {
  // The places of kContainerColumns.
  enum : std::size_t {
    kId, kName, kMemory, kStorage, kUuid, kDistro, kDistroName, kCustom,
    kCustomName, kServer, kServerAddress,
  };
  const std::int64_t id = row.integer(kId);
  out.begin_object();
  out.add("uid", uid_of(id));
  out.add("name", row.text(kName));
  out.add("hostname", hostname_of(row.text(kName)));
  out.add("ip", container_ip(id));
  out.add("memory", row.integer(kMemory));
  out.add("storage", row.integer(kStorage));
  out.add("uuid", row.text(kUuid));
  out.add_integer("distro", row, kDistro);
  out.add_text("distro_name", row, kDistroName);
  out.add_integer("custom_distro", row, kCustom);
  out.add_text("custom_distro_name", row, kCustomName);
  out.add("server", row.text(kServer));
  out.add("server_address", row.text(kServerAddress));
  out.add("tags", tags);
  out.end_object();
}

void detach_from_distro(const Call& call, Transaction& transaction,
                        std::int64_t custom_distro) {
  for (const Row& row : transaction.select(
           "id", "FROM containers WHERE custom_distro_id = ?", {custom_distro})) {
    const std::int64_t id = row.integer("id");
    transaction.update("containers", id, {{"custom_distro_id", nullptr}});
    touch_container(call, transaction, id);
    audit(call, transaction, "container", id, {{"custom_distro", custom_distro}},
          {{"custom_distro", nullptr}});
  }
}

void detach_from_distros_of(const Call& call, Transaction& transaction,
                            std::int64_t container) {
  for (const Row& row : transaction.select(
           "id", "FROM custom_distros WHERE container_id = ? ORDER BY id",
           {container})) {
    detach_from_distro(call, transaction, row.integer("id"));
  }
}

namespace {

std::vector<std::int64_t> linkers_of(Transaction& transaction, std::int64_t id) {
  std::vector<std::int64_t> out;
  for (const Row& row : transaction.select(
           "container_id", "FROM container_links WHERE linked_id = ? "
           "ORDER BY container_id", {id})) {
    out.push_back(row.integer("container_id"));
  }
  return out;
}

}  // namespace

void reset_for_server(const Call& call, Transaction& transaction,
                      std::int64_t id) {
  detach_from_distros_of(call, transaction, id);
  for (const Row& row : transaction.select(
           "id, proto, public_port, private_port",
           "FROM portmappings WHERE container_id = ? ORDER BY id", {id})) {
    audit(call, transaction, "portmapping", row.integer("id"),
          {{"proto", row.text("proto")},
           {"public_port", row.integer("public_port")},
           {"container", uid_of(id)},
           {"private_port", row.integer("private_port")}},
          nullptr);
  }
  // They reach it by its server.
  for (const std::int64_t linker : linkers_of(transaction, id)) {
    touch_container(call, transaction, linker);
    note_event(call, transaction, "container", linker, nullptr, "changed");
  }
  transaction.update("containers", id, {{"custom_distro_id", nullptr}});
  transaction.run("DELETE FROM portmappings WHERE container_id = ?", {id});
}

void reset_for_customer(const Call& call, Transaction& transaction,
                        std::int64_t id) {
  reset_for_server(call, transaction, id);
  for (const char* table :
       {"alarms", "container_metrics", "custom_distros", "domain_metrics",
        "loopboxes", "rules"}) {
    transaction.run("DELETE FROM " + std::string(table) +
                    " WHERE container_id = ?", {id});
  }
  transaction.run("DELETE FROM container_tags WHERE object_id = ?", {id});
  for (const std::int64_t linker : linkers_of(transaction, id)) {
    audit(call, transaction, "container", linker, {{"linked_to", uid_of(id)}},
          {{"linked_to", nullptr}});
  }
  transaction.run(
      "DELETE FROM container_links WHERE container_id = ? OR linked_id = ?",
      {id, id});
  // As it would be made.
  const auto row = transaction.one("uuid", "FROM containers WHERE id = ?", {id});
  transaction.update("containers", id,
                     new_container_fields(call, row->text("uuid")));
}

std::optional<Answer> hash_password(Call& call) {
  const auto given = call.body.find("password");
  if (given == call.body.end()) return std::nullopt;
  auto hash = call.tools.passwords.hash(given->get<std::string>());
  if (!hash) return busy();
  call.password_hash = *std::move(hash);
  return std::nullopt;
}

Field password_field(bool required) {
  return {"password", Type::kText, "a password of 768 bytes at most", required, 1,
          kPasswordBytesMax, [](std::string_view text) {
            return static_cast<std::int64_t>(text.size()) <= kPasswordBytesMax;
          }};
}

void add_for_servers(Routes& routes, std::string_view path, Handler handler,
                     std::string_view summary, std::string_view query) {
  routes.push_back(with_query(
      {"GET", path, Access::kServer, Mode::kRead, handler, summary}, query));
}

Field domain_name_field() {
  return {"name", Type::kLine,
          "a domain in lower case (xn--… for others), with a dot in front for "
          "all below it",
          true, 1, 254, is_domain,
          "^\\.?([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z0-9-]+$"};
}

void touch_container(const Call& call, Transaction& transaction,
                     std::int64_t id) {
  transaction.run(
      "UPDATE containers SET mtime = CASE WHEN mtime < ? THEN ? "
      "ELSE mtime + 1 END WHERE id = ?",
      {call.now(), call.now(), id});
}

}  // namespace fealty::api
