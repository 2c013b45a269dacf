#include "api/credentials.h"
#include "api/resources/common.h"
#include "api/resources/resources.h"

namespace fealty::api {
namespace {

const Schema kSchema = {
    "Me",
    {{"vat", Type::kLine, "VAT number"},
     {"company", Type::kLine, "company"},
     {"email", Type::kLine, "mail address"},
     password_field(false)}};

Json me_object(const Call& call, Transaction& transaction) {
  const auto row = transaction.one("email, vat, company, uuid",
                                   "FROM customers WHERE id = ?",
                                   {call.caller.id});
  Json containers = Json::array();
  for (const Row& container : transaction.select(
           "id", "FROM containers WHERE customer_id = ? ORDER BY id",
           {call.caller.id})) {
    containers.push_back(uid_of(container.integer("id")));
  }
  Json servers = Json::array();
  for (const Row& server : transaction.select(
           "address", "FROM servers WHERE owner_id = ? ORDER BY id",
           {call.caller.id})) {
    servers.push_back(server.text("address"));
  }
  return {{"email", row->text("email")},
          {"vat", row->text("vat")},
          {"company", row->text("company")},
          {"uuid", row->text("uuid")},
          {"containers", std::move(containers)},
          {"servers", std::move(servers)}};
}

Answer show(Call& call, Transaction& transaction) {
  return ok(me_object(call, transaction));
}

Json auditable(Transaction& transaction, std::int64_t id) {
  const auto row = transaction.one("email, vat, company",
                                   "FROM customers WHERE id = ?", {id});
  return {{"email", row->text("email")},
          {"vat", row->text("vat")},
          {"company", row->text("company")}};
}

Answer change(Call& call, Transaction& transaction) {
  const Json before = auditable(transaction, call.caller.id);
  Fields fields = stored_fields(call.body, {"vat", "company", "email"});
  if (!call.password_hash.empty()) {
    fields.emplace_back("password", call.password_hash);
  }
  transaction.update("customers", call.caller.id, fields);
  audit(call, transaction, "customer", call.caller.id, before,
        auditable(transaction, call.caller.id));
  if (!call.password_hash.empty()) {
    audit_secret(call, transaction, "customer", call.caller.id, "password");
  }
  return ok(me_object(call, transaction));
}

}  // namespace

void add_me(Routes& routes) {
  routes.push_back({"GET", "/me", Access::kCustomer, Mode::kRead, show,
                    "The customer's own data"});
  routes.push_back({"POST", "/me", Access::kCustomer, Mode::kWrite, change,
                    "Changes them; other keys are ignored", &kSchema,
                    hash_password});
}

}  // namespace fealty::api
