#include "api/resources/common.h"
#include "api/resources/resources.h"

namespace fealty::api {
namespace {

const Schema kCreate = {"NewTag",
                        {{"name", Type::kLine, "its name, without commas", true,
                          1, 255, [](std::string_view text) {
                            return text.find(',') == text.npos;
                          }, "^[^,]+$"},
                         {"note", Type::kText, "free text", false, 0, 16'384}}};
const Schema kChange = all_optional(kCreate, "Tag");

Json object_of(const Row& row) {
  return {{"id", row.integer("id")},
          {"name", row.text("name")},
          {"note", row.text("note")}};
}

std::optional<Row> own(const Call& call, Transaction& transaction,
                       std::int64_t id) {
  return transaction.one("id, name, note",
                         "FROM tags WHERE id = ? AND customer_id = ?",
                         {id, call.caller.id});
}

Answer list(Call& call, Transaction& transaction) {
  Filter filter;
  filter.add("customer_id = ?", {call.caller.id});
  if (auto refused = filter.add_page(call, "id")) return *std::move(refused);
  Json out = Json::array();
  for (const Row& row :
       transaction.select("id, name, note", "FROM tags" + filter.text(),
                          filter.values())) {
    out.push_back(object_of(row));
  }
  return ok(std::move(out));
}

bool is_taken(const Call& call, Transaction& transaction, std::int64_t except) {
  return call.body.contains("name") &&
         transaction.exists(
             "FROM tags WHERE customer_id = ? AND name = ? AND id <> ?",
             {call.caller.id, text_of(call.body, "name"), except});
}

Answer create(Call& call, Transaction& transaction) {
  if (is_taken(call, transaction, 0)) {
    return conflict("name: there is such a tag already");
  }
  const std::int64_t id = transaction.insert(
      "tags", {{"customer_id", call.caller.id},
               {"name", text_of(call.body, "name")},
               {"note", text_of(call.body, "note")}});
  Json object = object_of(*own(call, transaction, id));
  audit(call, transaction, "tag", id, nullptr, object);
  return created(std::move(object));
}

Answer show(Call& call, Transaction& transaction) {
  const auto row = own(call, transaction, call.number());
  return row ? ok(object_of(*row)) : not_found();
}

Answer change(Call& call, Transaction& transaction) {
  const auto row = own(call, transaction, call.number());
  if (!row) return not_found();
  const std::int64_t id = row->integer("id");
  if (is_taken(call, transaction, id)) {
    return conflict("name: there is such a tag already");
  }
  transaction.update("tags", id, stored_fields(call.body, {"name", "note"}));
  Json object = object_of(*own(call, transaction, id));
  audit(call, transaction, "tag", id, object_of(*row), object);
  return ok(std::move(object));
}

Answer remove(Call& call, Transaction& transaction) {
  const auto row = own(call, transaction, call.number());
  if (!row) return not_found();
  transaction.remove("tags", row->integer("id"));
  audit(call, transaction, "tag", row->integer("id"), object_of(*row), nullptr);
  return ok_message();
}

}  // namespace

void add_tags(Routes& routes) {
  routes.push_back(with_query(
      {"GET", "/tags", Access::kCustomer, Mode::kRead, list,
       "The customer's tags"},
      "after,limit"));
  routes.push_back({"POST", "/tags", Access::kCustomer, Mode::kWrite, create,
                    "A new tag", &kCreate});
  routes.push_back({"GET", "/tags/{id}", Access::kCustomer, Mode::kRead, show,
                    "One of them"});
  routes.push_back({"POST", "/tags/{id}", Access::kCustomer, Mode::kWrite,
                    change, "Changes it", &kChange});
  routes.push_back({"DELETE", "/tags/{id}", Access::kCustomer, Mode::kWrite,
                    remove, "Takes it away, from what bears it too"});
}

}  // namespace fealty::api
