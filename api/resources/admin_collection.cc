#include "api/resources/admin_collection.h"

#include "api/resources/common.h"

namespace fealty::api {
namespace {

using Kind = AdminField::Kind;

std::string purpose(const AdminCollection& collection, const AdminField& field) {
  return std::string(collection.table) + "." + std::string(field.where());
}

std::string columns_of(const AdminCollection& collection) {
  std::string columns = "t.id";
  for (const AdminField& field : collection.fields) {
    if (!field.shown || field.kind == Kind::kSecret) continue;
    const std::string column(field.where());
    if (field.kind == Kind::kReference) {
      columns += ", (SELECT r." + std::string(field.key) + " FROM " +
                 std::string(field.table) + " r WHERE r.id = t." + column +
                 ") AS " + column;
    } else {
      columns += ", t." + column;
    }
  }
  return columns;
}

Json object_of(const AdminCollection& collection, Transaction& transaction,
               const Row& row) {
  Json object = {{"id", row.integer("id")}};
  for (const AdminField& field : collection.fields) {
    if (!field.shown || field.kind == Kind::kSecret) continue;
    Json& out = object[std::string(field.name)];
    switch (field.kind) {
      case Kind::kId:
      case Kind::kInteger: out = row.integer_or_null(field.where()); break;
      case Kind::kFlag: out = row.boolean(field.where()); break;
      case Kind::kUid: out = uid_of(row.integer(field.where())); break;
      default: out = row.text_or_null(field.where()); break;
    }
  }
  if (collection.show != nullptr) {
    collection.show(transaction, row.integer("id"), object);
  }
  return object;
}

std::optional<Json> find(const AdminCollection& collection,
                         Transaction& transaction, std::int64_t id) {
  const auto row = transaction.one(
      columns_of(collection),
      "FROM " + std::string(collection.table) + " t WHERE t.id = ?", {id});
  if (!row) return std::nullopt;
  return object_of(collection, transaction, *row);
}

// The column's value of a key that is there.
Result<Value, Answer> value_of(const Call& call, Transaction& transaction,
                               const AdminField& field, const Json& given) {
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
          given.get<std::string>(), purpose(*call.route.collection, field)));
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
                                 bool is_new) {
  Fields out;
  for (const AdminField& field : call.route.collection->fields) {
    const auto given = call.body.find(field.name);
    if (given != call.body.end()) {
      auto value = value_of(call, transaction, field, *given);
      if (!value) return value.error();
      out.emplace_back(field.where(), *std::move(value));
    } else if (is_new) {
      out.emplace_back(field.where(), default_of(field));
    }
  }
  return out;
}

Answer list(Call& call, Transaction& transaction) {
  const AdminCollection& collection = *call.route.collection;
  Filter filter;
  if (!filter.add_page(call, "t.id")) return bad_page();
  Json out = Json::array();
  for (const Row& row : transaction.select(
           columns_of(collection),
           "FROM " + std::string(collection.table) + " t" + filter.text(),
           filter.values())) {
    out.push_back(object_of(collection, transaction, row));
  }
  return ok(std::move(out));
}

Answer show(Call& call, Transaction& transaction) {
  auto object = find(*call.route.collection, transaction, call.number());
  return object ? ok(*std::move(object)) : not_found();
}

// Writes the row, `id` 0: a new one; then what belongs to it.
Answer write(Call& call, Transaction& transaction, std::int64_t id) {
  const AdminCollection& collection = *call.route.collection;
  const Json before =
      id == 0 ? Json(nullptr) : *find(collection, transaction, id);
  auto fields = fields_of(call, transaction, id == 0);
  if (!fields) return fields.error();
  if (id == 0 && collection.complete != nullptr) {
    collection.complete(call, *fields);
  }
  if (collection.check != nullptr) {
    if (auto refused = collection.check(call, transaction, id, *fields)) {
      return *std::move(refused);
    }
  }
  const bool is_new = id == 0;
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
  audit(call, transaction, collection.table, id, before, object);
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
  transaction.remove(collection.table, call.number());
  audit(call, transaction, collection.table, call.number(), *before, nullptr);
  return ok_message();
}

}  // namespace

Schema all_optional(Schema schema, std::string_view name) {
  schema.name = name;
  for (Field& field : schema.fields) field.required = false;
  return schema;
}

void add_collection(Routes& routes, const AdminCollection& collection) {
  const std::string_view one = collection.item_path;
  const auto add = [&](Route route) {
    route.collection = &collection;
    routes.push_back(route);
  };
  add({"GET", collection.path, Access::kAdmin, Mode::kRead, list, "All of them",
       nullptr, nullptr, 400, "after,limit"});
  add({"POST", collection.path, Access::kAdmin, Mode::kWrite, create,
       "A new one", &collection.create, collection.prepare});
  add({"GET", one, Access::kAdmin, Mode::kRead, show, "One of them"});
  add({"POST", one, Access::kAdmin, Mode::kWrite, change, "Changes it",
       &collection.change, collection.prepare});
  add({"DELETE", one, Access::kAdmin, Mode::kWrite, remove, "Takes it away"});
}

}  // namespace fealty::api
