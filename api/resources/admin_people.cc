#include "api/domain_check.h"
#include "api/identity.h"
#include "api/resources/admin_collections.h"
#include "api/resources/common.h"

namespace fealty::api {
namespace {

using Kind = AdminField::Kind;

constexpr AdminField kCustomer = {"customer", Kind::kReference, "customer_id",
                                  "customers", "username"};
constexpr AdminField kServer = {"server", Kind::kReference, "server_id",
                                "servers", "name"};

Field username(std::string_view key) {
  return {key, Type::kLine, "a customer's username", true, 1};
}

// ------------------------------------------------------------- customers

// Basic authentication has no way to write a colon in a name.
bool is_username(std::string_view text) { return text.find(':') == text.npos; }

std::optional<Answer> make_secrets(Call& call) {
  if (call.body.contains("password")) {
    call.password_hash =
        call.tools.passwords.hash(call.body["password"].get<std::string>());
  }
  if (!call.parts.empty()) return std::nullopt;
  auto pair = make_rsa_pair();
  if (!pair) return unavailable(pair.error().message);
  call.rsa_private = std::move(pair->private_pem);
  call.rsa_public = std::move(pair->public_pem);
  return std::nullopt;
}

void complete_customer(Call& call, Fields& fields) {
  fields.emplace_back("uuid", make_uuid());
  fields.emplace_back("rsa_public", call.rsa_public);
  fields.emplace_back("rsa_private", call.tools.sealer.seal(
                                         call.rsa_private,
                                         "customers.rsa_private"));
}

std::optional<Answer> check_customer(Call& call, Transaction&, std::int64_t,
                                     Fields& fields) {
  if (!call.password_hash.empty()) {
    fields.emplace_back("password", call.password_hash);
  }
  return std::nullopt;
}

void show_customer(Transaction& transaction, std::int64_t id, Json& object) {
  object["uuid"] =
      transaction.one("uuid", "FROM customers WHERE id = ?", {id})->text("uuid");
}

// ------------------------------------------------------------ containers

void complete_container(Call& call, Fields& fields) {
  for (auto& field : new_container_fields(call)) {
    fields.push_back(std::move(field));
  }
}

std::int64_t field_or(const Fields& fields, std::string_view column,
                      std::int64_t otherwise) {
  for (const auto& [name, value] : fields) {
    const auto* const number = std::get_if<std::int64_t>(&value);
    if (name == column && number != nullptr) return *number;
  }
  return otherwise;
}

std::optional<Answer> check_container(Call& call, Transaction& transaction,
                                      std::int64_t id, Fields& fields) {
  std::optional<Row> row;
  if (id != 0) {
    row = transaction.one("server_id, memory, storage",
                          "FROM containers WHERE id = ?", {id});
    touch_container(call, transaction, id);
  }
  const auto now_or = [&](std::string_view column) {
    return field_or(fields, column, row ? row->integer(column) : 0);
  };
  if (now_or("server_id") == 0) return bad_request("server: it must have one");
  return check_capacity(transaction, now_or("server_id"), now_or("memory"),
                        now_or("storage"), id);
}

void show_container(Transaction& transaction, std::int64_t id, Json& object) {
  const auto row =
      transaction.one("uuid", "FROM containers WHERE id = ?", {id});
  object["uid"] = uid_of(id);
  object["uuid"] = row->text("uuid");
  object["ip"] = container_ip(id);
}

// ---------------------------------------------------------------- others

void complete_domain(Call&, Fields& fields) {
  fields.emplace_back("uuid", make_uuid());
}
std::optional<Answer> set_mtime(Call& call, Transaction&, std::int64_t,
                                Fields& fields) {
  fields.emplace_back("mtime", call.now());
  return std::nullopt;
}
void show_domain(Transaction& transaction, std::int64_t id, Json& object) {
  object["uuid"] =
      transaction.one("uuid", "FROM domains WHERE id = ?", {id})->text("uuid");
}
void date_news(Call& call, Fields& fields) {
  fields.emplace_back("date", call.now());
}
void show_news(Transaction& transaction, std::int64_t id, Json& object) {
  object["date"] =
      transaction.one("date", "FROM news WHERE id = ?", {id})->integer("date");
}

bool is_direction(std::string_view text) { return text == "in" || text == "out"; }
bool is_action(std::string_view text) {
  return text == "allow" || text == "deny" || text == "gateway";
}

}  // namespace

const AdminCollection& admin_customers() {
  static const Schema create = {
      "AdminNewCustomer",
      {{"username", Type::kLine, "a name without a colon", true, 1, 255,
        is_username, "^[^:]+$"},
       {"password", Type::kText, "its password", true, 1, 1024},
       {"email", Type::kLine, "mail address"},
       {"company", Type::kLine, "company"},
       {"vat", Type::kLine, "VAT number"}}};
  static const AdminCollection collection = {
      "/admin/customers", "/admin/customers/{id}", "customers", create,
      all_optional(create, "AdminCustomer"),
      {{"username"}, {"email"}, {"company"}, {"vat"}},
      complete_customer, check_customer, nullptr, show_customer, make_secrets};
  return collection;
}

const AdminCollection& admin_containers() {
  static const Schema create = {
      "AdminNewContainer",
      {username("customer"),
       {"server", Type::kLine, "a server's name", true, 1},
       {"name", Type::kLine, "its name", true, 1},
       {"memory", Type::kInteger, "MB", true, 1, kIntegerMax},
       {"storage", Type::kInteger, "MB", true, 1, kIntegerMax},
       {"distro", Type::kIntegerOrNull, "the id of a distro", false, 1,
        kIntegerMax}}};
  static const AdminCollection collection = {
      "/admin/containers", "/admin/containers/{id}", "containers", create,
      all_optional(create, "AdminContainer"),
      {kCustomer, kServer, {"name"}, {"memory", Kind::kInteger},
       {"storage", Kind::kInteger},
       {"distro", Kind::kId, "distro_id", "distros"}},
      complete_container, check_container, nullptr, show_container};
  return collection;
}

const AdminCollection& admin_domains() {
  static const Schema create = {
      "AdminNewDomain",
      {username("customer"),
       {"name", Type::kLine, "a domain in lower case, with a dot in front for "
                             "all below it",
        true, 1, 254, is_domain,
        "^\\.?([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z0-9-]+$"},
       {"note", Type::kText, "free text", false, 0, 16'384}}};
  static const AdminCollection collection = {
      "/admin/domains", "/admin/domains/{id}", "domains", create,
      all_optional(create, "AdminDomain"),
      {kCustomer, {"name"}, {"note"}},
      complete_domain, set_mtime, nullptr, show_domain};
  return collection;
}

const AdminCollection& admin_custom_services() {
  static const Schema create = {
      "AdminNewCustomService",
      {{"name", Type::kLine, "its name", true, 1},
       username("customer"),
       {"server", Type::kLine, "a server's name", true, 1},
       {"config", Type::kText, "its configuration", true, 0, 32'768}}};
  static const AdminCollection collection = {
      "/admin/custom_services", "/admin/custom_services/{id}",
      "custom_services", create, all_optional(create, "AdminCustomService"),
      {{"name"}, kCustomer, kServer, {"config"}},
      nullptr, set_mtime};
  return collection;
}

const AdminCollection& admin_news() {
  static const Schema create = {
      "AdminNewNews",
      {{"content", Type::kText, "the text", true, 1, 32'768},
       {"public", Type::kFlag, "shown without a login"}}};
  static const AdminCollection collection = {
      "/admin/news", "/admin/news/{id}", "news", create,
      all_optional(create, "AdminNews"),
      {{"content"}, {"public", Kind::kFlag}},
      date_news, nullptr, nullptr, show_news};
  return collection;
}

const AdminCollection& admin_rules() {
  static const Schema create = {
      "AdminNewRule",
      {{"container", Type::kInteger, "a container's uid", true, 1, kIntegerMax},
       {"direction", Type::kLine, "in or out", true, 2, 3, is_direction,
        "^(in|out)$"},
       {"action", Type::kLine, "allow, deny or gateway", true, 4, 7, is_action,
        "^(allow|deny|gateway)$"},
       {"target", Type::kLine, "of a gateway"},
       {"src", Type::kLine, "an address", true, 1, 45, is_ip_address},
       {"src_mask", Type::kInteger, "bits", false, 0, 128},
       {"dst", Type::kLine, "an address", true, 1, 45, is_ip_address},
       {"dst_mask", Type::kInteger, "bits", false, 0, 128}}};
  static const AdminCollection collection = {
      "/admin/rules", "/admin/rules/{id}", "rules", create,
      all_optional(create, "AdminRule"),
      {{"container", Kind::kUid, "container_id"},
       {"direction"}, {"action"}, {"target"}, {"src"},
       {"src_mask", Kind::kInteger, {}, {}, {}, true, 32},
       {"dst"},
       {"dst_mask", Kind::kInteger, {}, {}, {}, true, 32}}};
  return collection;
}

}  // namespace fealty::api
