#include "api/resources/admin_collection.h"

#include "api/identity.h"
#include "api/resources/common.h"

namespace fealty::api {
namespace {

using Kind = AdminField::Kind;

bool is_shown(const AdminField& field) {
  return field.shown && field.kind != Kind::kSecret;
}

std::string columns_of(const AdminCollection& collection) {
  std::string columns = "t.id";
  const auto add = [&](const std::string& sql, std::string_view name) {
    columns += ", " + sql + " AS " + std::string(name);
  };
  for (const AdminField& field : collection.fields) {
    if (!is_shown(field)) continue;
    const std::string column = "t." + std::string(field.where());
    add(field.kind == Kind::kReference
            ? "(SELECT r." + std::string(field.key) + " FROM " +
                  std::string(field.table) + " r WHERE r.id = " + column + ")"
            : column,
        field.name);
  }
  if (collection.has_uuid) add("t.uuid", "uuid");
  for (const AdminShown& shown : collection.shown) {
    add("(" + std::string(shown.sql) + ")", shown.name);
  }
  return columns;
}

Json value_of(const Row& row, std::string_view name, Kind kind) {
  switch (kind) {
    case Kind::kId:
    case Kind::kInteger: return row.integer_or_null(name);
    case Kind::kFlag: return row.boolean(name);
    case Kind::kUid: return uid_of(row.integer(name));
    case Kind::kContainerIp: return container_ip(row.integer(name));
    default: return row.text_or_null(name);
  }
}

// The objects that `rest` leaves of the table.
std::vector<Json> select(const AdminCollection& collection,
                         Transaction& transaction, const std::string& rest,
                         const Values& values) {
  std::vector<Json> page;
  for (const Row& row : transaction.select(
           columns_of(collection),
           "FROM " + std::string(collection.table) + " t" + rest, values)) {
    Json& object = page.emplace_back();
    object["id"] = row.integer("id");
    for (const AdminField& field : collection.fields) {
      if (!is_shown(field)) continue;
      object[std::string(field.name)] = value_of(row, field.name, field.kind);
    }
    if (collection.has_uuid) object["uuid"] = row.text("uuid");
    for (const AdminShown& shown : collection.shown) {
      object[std::string(shown.name)] = value_of(row, shown.name, shown.kind);
    }
  }
  if (collection.attach != nullptr && !page.empty()) {
    collection.attach(transaction, page);
  }
  return page;
}

std::optional<Json> find(const AdminCollection& collection,
                         Transaction& transaction, std::int64_t id) {
  std::vector<Json> page =
      select(collection, transaction, " WHERE t.id = ?", {id});
  if (page.empty()) return std::nullopt;
  return std::move(page.front());
}

// The column's value of a key that is there, in the row with this uuid.
Result<Value, Answer> column_of(const Call& call, Transaction& transaction,
                                const AdminField& field, const Json& given,
                                std::string_view uuid) {
  switch (field.kind) {
    case Kind::kReference: {
      if (given.get<std::string>().empty()) return Value(nullptr);
      const auto row = transaction.one(
          "id", "FROM " + std::string(field.table) + " WHERE " +
                    std::string(field.key) + " = ?", {stored(given)});
      if (!row) return bad_request(std::string(field.name) + ": there is none so called");
      return Value(row->integer("id"));
    }
    case Kind::kUid: {
      const std::int64_t id = id_of(given.get<std::int64_t>());
      if (!transaction.exists("FROM containers WHERE id = ?", {id})) {
        return bad_request(std::string(field.name) + ": there is no such container");
      }
      return Value(id);
    }
    case Kind::kId: {
      if (!given.is_null() &&
          !transaction.exists("FROM " + std::string(field.table) +
                                  " WHERE id = ?", {stored(given)})) {
        return bad_request(std::string(field.name) + ": there is none with this id");
      }
      return stored(given);
    }
    case Kind::kSecret:
      return Value(call.tools.sealer.seal(
          given.get<std::string>(),
          purpose_of(call.route.collection->table, field.where(), uuid)));
    case Kind::kFlag:
      return Value(std::int64_t{
          (given.is_boolean() ? given.get<bool>() : given != 0) ? 1 : 0});
    default: return stored(given);
  }
}

Value default_of(const AdminField& field) {
  switch (field.kind) {
    case Kind::kReference:
    case Kind::kId:
    case Kind::kUid: return nullptr;
    case Kind::kInteger:
    case Kind::kFlag: return field.otherwise;
    default: return std::string();
  }
}

Result<Fields, Answer> fields_of(const Call& call, Transaction& transaction,
                                 bool is_new, std::string_view uuid) {
  Fields out;
  for (const AdminField& field : call.route.collection->fields) {
    const auto given = call.body.find(field.name);
    if (given != call.body.end()) {
      auto value = column_of(call, transaction, field, *given, uuid);
      if (!value) return value.error();
      out.emplace_back(field.where(), *std::move(value));
    } else if (is_new) {
      out.emplace_back(field.where(), default_of(field));
    }
  }
  return out;
}

Answer list(Call& call, Transaction& transaction) {
  Filter filter;
  if (auto refused = filter.add_page(call, "t.id")) return *std::move(refused);
  return ok(Json(select(*call.route.collection, transaction, filter.text(),
                        filter.values())));
}

Answer show(Call& call, Transaction& transaction) {
  auto object = find(*call.route.collection, transaction, call.number());
  return object ? ok(*std::move(object)) : not_found();
}

void audit_secrets(const Call& call, Transaction& transaction,
                   std::int64_t id) {
  const AdminCollection& collection = *call.route.collection;
  if (!call.password_hash.empty()) {
    audit_secret(call, transaction, collection.object, id, "password");
  }
  for (const AdminField& field : collection.fields) {
    if (field.kind == Kind::kSecret && call.body.contains(field.name)) {
      audit_secret(call, transaction, collection.object, id, field.name);
    }
  }
}

// Writes the row, `id` 0: a new one; then what belongs to it.
Answer write(Call& call, Transaction& transaction, std::int64_t id) {
  const AdminCollection& collection = *call.route.collection;
  const bool is_new = id == 0;
  const Json before = is_new ? Json(nullptr) : *find(collection, transaction, id);
  const std::string uuid = is_new ? make_uuid() : text_of(before, "uuid");
  auto fields = fields_of(call, transaction, is_new, uuid);
  if (!fields) return fields.error();
  if (is_new && collection.has_uuid) fields->emplace_back("uuid", uuid);
  if (collection.has_mtime) fields->emplace_back("mtime", call.now());
  if (is_new && collection.complete != nullptr) {
    collection.complete(call, *fields, uuid);
  }
  if (collection.check != nullptr) {
    if (auto refused = collection.check(call, transaction, id, *fields)) {
      return *std::move(refused);
    }
  }
  if (is_new) {
    id = transaction.insert(collection.table, *fields);
  } else {
    transaction.update(collection.table, id, *fields);
  }
  if (collection.after != nullptr) {
    if (auto refused = collection.after(call, transaction, id)) {
      return *std::move(refused);
    }
  }
  Json object = *find(collection, transaction, id);
  audit(call, transaction, collection.object, id, before, object);
  if (!is_new) audit_secrets(call, transaction, id);
  if (collection.changed != nullptr) {
    collection.changed(call, transaction, before, object);
  }
  return is_new ? created(std::move(object)) : ok(std::move(object));
}

Answer create(Call& call, Transaction& transaction) {
  return write(call, transaction, 0);
}

Answer change(Call& call, Transaction& transaction) {
  const std::int64_t id = call.number();
  if (!find(*call.route.collection, transaction, id)) return not_found();
  return write(call, transaction, id);
}

Answer remove(Call& call, Transaction& transaction) {
  const AdminCollection& collection = *call.route.collection;
  const auto before = find(collection, transaction, call.number());
  if (!before) return not_found();
  for (const AdminDependent& dependent : collection.dependents) {
    const std::string table(dependent.table);
    if (transaction.exists("FROM " + table + " WHERE " +
                               std::string(dependent.column) + " = ?",
                           {call.number()})) {
      return conflict("there are " + table + " that depend on it");
    }
  }
  if (collection.leave != nullptr) {
    collection.leave(call, transaction, call.number());
  }
  transaction.remove(collection.table, call.number());
  audit(call, transaction, collection.object, call.number(), *before, nullptr);
  if (collection.changed != nullptr) {
    collection.changed(call, transaction, *before, nullptr);
  }
  return ok_message();
}

}  // namespace

void add_collection(Routes& routes, const AdminCollection& collection) {
  const std::string_view one = collection.item_path;
  const auto add = [&](Route route) {
    route.collection = &collection;
    routes.push_back(route);
  };
  add(with_query({"GET", collection.path, Access::kAdmin, Mode::kRead, list,
                  "All of them"}, "after,limit"));
  add({"POST", collection.path, Access::kAdmin, Mode::kWrite, create,
       "A new one", &collection.create, collection.prepare});
  add({"GET", one, Access::kAdmin, Mode::kRead, show, "One of them"});
  add({"POST", one, Access::kAdmin, Mode::kWrite, change, "Changes it",
       &collection.change, collection.prepare});
  add({"DELETE", one, Access::kAdmin, Mode::kWrite, remove, "Takes it away"});
}

}  // namespace fealty::api
