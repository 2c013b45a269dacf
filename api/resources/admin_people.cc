#include "api/credentials.h"
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
  if (auto refused = hash_password(call)) return refused;
  if (!call.parts.empty()) return std::nullopt;
  auto pair = make_rsa_pair();
  if (!pair) return unavailable(pair.error().message);
  call.rsa_private = std::move(pair->private_pem);
  call.rsa_public = std::move(pair->public_pem);
  return std::nullopt;
}

void complete_customer(Call& call, Fields& fields, const std::string& uuid) {
  fields.emplace_back("rsa_public", call.rsa_public);
  fields.emplace_back(
      "rsa_private",
      call.tools.sealer.seal(call.rsa_private,
                             purpose_of("customers", "rsa_private", uuid)));
}

std::optional<Answer> check_customer(Call& call, Transaction&, std::int64_t,
                                     Fields& fields) {
  if (!call.password_hash.empty()) {
    fields.emplace_back("password", call.password_hash);
  }
  return std::nullopt;
}

// ------------------------------------------------------------ containers

void complete_container(Call& call, Fields& fields, const std::string& uuid) {
  fields.emplace_back("uuid", uuid);
  for (auto& field : new_container_fields(call, uuid)) {
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
    row = transaction.one("customer_id, server_id, memory, storage",
                          "FROM containers WHERE id = ?", {id});
  }
  const auto now_or = [&](std::string_view column) {
    return field_or(fields, column, row ? row->integer(column) : 0);
  };
  if (now_or("server_id") == 0) return bad_request("server: it must have one");
  if (row) {
    const auto changes = [&](std::string_view column) {
      return now_or(column) != row->integer(column);
    };
    if (changes("customer_id")) {
      reset_for_customer(call, transaction, id);
    } else if (changes("server_id")) {
      reset_for_server(transaction, id);
    }
    touch_container(call, transaction, id);
  }
  return check_capacity(transaction, now_or("server_id"), now_or("memory"),
                        now_or("storage"), id);
}

// ---------------------------------------------------------------- others

void date_news(Call& call, Fields& fields, const std::string&) {
  fields.emplace_back("date", call.now());
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
       {"password", Type::kText, "its password", true, 1,
        kPasswordBytesMax},
       {"email", Type::kLine, "mail address"},
       {"company", Type::kLine, "company"},
       {"vat", Type::kLine, "VAT number"}}};
  static const AdminCollection collection = {
      "/admin/customers", "/admin/customers/{id}", "customers", create,
      all_optional(create, "AdminCustomer"),
      {{"username"}, {"email"}, {"company"}, {"vat"}},
      {}, true, false, complete_customer, check_customer, nullptr, nullptr,
      make_secrets};
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
      {{"uid", Kind::kUid, "t.id"}, {"uuid", Kind::kText, "t.uuid"},
       {"ip", Kind::kContainerIp, "t.id"}},
      false, false, complete_container, check_container};
  return collection;
}

const AdminCollection& admin_domains() {
  static const Schema create = {
      "AdminNewDomain",
      {username("customer"),
       domain_name_field(),
       {"note", Type::kText, "free text", false, 0, 16'384}}};
  static const AdminCollection collection = {
      "/admin/domains", "/admin/domains/{id}", "domains", create,
      all_optional(create, "AdminDomain"),
      {kCustomer, {"name"}, {"note"}}, {}, true, true};
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
      {{"name"}, kCustomer, kServer, {"config"}}, {}, false, true};
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
      {{"date", Kind::kInteger, "t.date"}}, false, false, date_news};
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
