#include "api/resources/common.h"

#include <algorithm>
#include <charconv>

#include "api/identity.h"

namespace fealty::api {

std::optional<Row> own_container(const Call& call, Transaction& transaction,
                                 std::int64_t uid, std::string_view columns) {
  return transaction.one(columns,
                         "FROM containers WHERE id = ? AND customer_id = ?",
                         {id_of(uid), call.caller.id});
}

void audit(const Call& call, Transaction& transaction, std::string_view object,
           std::int64_t id, const Json& before, const Json& after) {
  const auto shown = [](const Json& value) -> Value {
    if (value.is_null()) return nullptr;
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
  };
  transaction.run(
      "INSERT INTO audit (unix, actor, address, request, object, object_id, "
      "before, after) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      {call.now(), call.caller.name, call.request.address,
       call.request.method + " " + call.request.path, std::string(object), id,
       shown(before), shown(after)});
}

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

void Filter::add(std::string_view condition, const Values& values) {
  conditions_ += (conditions_.empty() ? " WHERE " : " AND ");
  conditions_ += condition;
  values_.insert(values_.end(), values.begin(), values.end());
}

void Filter::add_tags(const Call& call, std::string_view table,
                      std::string_view object) {
  const auto asked = call.request.asked("tags");
  if (!asked) return;
  std::string marks;
  Values values{call.caller.id};
  for (std::string& name : split_commas(*asked)) {
    marks += marks.empty() ? "?" : ", ?";
    values.emplace_back(std::move(name));
    if (values.size() > 64) break;
  }
  add(std::string(object) + " IN (SELECT m.object_id FROM " +
          std::string(table) + " m JOIN tags t ON t.id = m.tag_id "
          "WHERE t.customer_id = ? AND t.name IN (" + marks + "))",
      values);
}

std::optional<std::int64_t> asked_number(const Call& call,
                                         std::string_view key, bool& valid) {
  const auto text = call.request.asked(key);
  if (!text) return std::nullopt;
  std::int64_t value = 0;
  const char* const end = text->data() + text->size();
  const auto [at, error] = std::from_chars(text->data(), end, value);
  if (error == std::errc() && at == end && !text->empty() && value >= 0) {
    return value;
  }
  valid = false;
  return std::nullopt;
}

bool Filter::add_page(const Call& call, std::string_view column) {
  bool valid = true;
  const auto after = asked_number(call, "after", valid);
  const auto limit = asked_number(call, "limit", valid);
  if (!valid || (limit && (*limit < 1 || *limit > kPageMax))) return false;
  if (after) add(std::string(column) + " > ?", {*after});
  order_ = " ORDER BY " + std::string(column);
  if (limit) order_ += " LIMIT " + std::to_string(*limit);
  return true;
}

std::string Filter::text() const { return conditions_ + order_; }

Answer bad_page() {
  return bad_request("limit: 1 to " + std::to_string(kPageMax) +
                     ", after: the last id of the page before");
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

Fields new_container_fields(const Call& call) {
  Fields fields;
  for (const char* key : {"uuid", "secret_uuid", "alarm_key"}) {
    fields.emplace_back(key, make_uuid());
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
  Fields fields = new_container_fields(call);
  for (auto& field : stored_fields(body, {"name", "memory", "storage"})) {
    fields.push_back(std::move(field));
  }
  fields.emplace_back("customer_id", customer);
  fields.emplace_back("server_id", server);
  return transaction.insert("containers", fields);
}

void write_container(const Row& row, const Json& tags, ListWriter& out) {
  const std::int64_t id = row.integer("id");
  const auto number_or_null = [&](std::string_view key, std::string_view column) {
    if (row.is_null(column)) return out.add(key, Json(nullptr));
    out.add(key, row.integer(column));
  };
  const auto text_or_null = [&](std::string_view column) {
    if (row.is_null(column)) return out.add(column, Json(nullptr));
    out.add(column, row.text(column));
  };
  out.begin_object();
  out.add("uid", uid_of(id));
  out.add("name", row.text("name"));
  out.add("hostname", hostname_of(row.text("name")));
  out.add("ip", container_ip(id));
  out.add("memory", row.integer("memory"));
  out.add("storage", row.integer("storage"));
  out.add("uuid", row.text("uuid"));
  number_or_null("distro", "distro_id");
  text_or_null("distro_name");
  number_or_null("custom_distro", "custom_distro_id");
  text_or_null("custom_distro_name");
  out.add("server", row.text("server"));
  out.add("server_address", row.text("server_address"));
  out.add("tags", tags);
  out.end_object();
}

void touch_container(const Call& call, Transaction& transaction,
                     std::int64_t id) {
  transaction.run(
      "UPDATE containers SET mtime = CASE WHEN mtime < ? THEN ? "
      "ELSE mtime + 1 END WHERE id = ?",
      {call.now(), call.now(), id});
}

}  // namespace fealty::api
