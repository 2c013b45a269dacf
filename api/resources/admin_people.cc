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

std::int64_t field_or(const Fields& fields, std::string_view column,
                      std::int64_t otherwise) {
  for (const auto& [name, value] : fields) {
    const auto* const number = std::get_if<std::int64_t>(&value);
    if (name == column && number != nullptr) return *number;
  }
  return otherwise;
}

// ------------------------------------------------------------- customers

// Basic authentication has no way to write a colon in a name.
bool is_username(std::string_view text) {
  return text.find(':') == text.npos &&
         static_cast<std::int64_t>(text.size()) <= kUsernameBytesMax;
}

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

// They are nobody else's, and say nothing without him.
void leave_customer(Call&, Transaction& transaction, std::int64_t id) {
  transaction.run("DELETE FROM tags WHERE customer_id = ?", {id});
}

// --------------------------------------------------------------- domains

// Another customer's now: it brings nothing of what the former one had with it.
std::optional<Answer> check_domain(Call& call, Transaction& transaction,
                                   std::int64_t id, Fields& fields) {
  if (id == 0) return std::nullopt;
  const auto row =
      transaction.one("customer_id", "FROM domains WHERE id = ?", {id});
  const std::int64_t owner = row->integer("customer_id");
  if (field_or(fields, "customer_id", owner) == owner) return std::nullopt;
  transaction.run("DELETE FROM domain_tags WHERE object_id = ?", {id});
  transaction.run("DELETE FROM domain_metrics WHERE domain_id = ?", {id});
  if (!call.body.contains("note")) fields.emplace_back("note", std::string());
  return std::nullopt;
}

// ------------------------------------------------------------ containers

void leave_container(Call& call, Transaction& transaction, std::int64_t id) {
  detach_from_distros_of(call, transaction, id);
}

// A server applies a container's rules when it boots it.
void touch_ruled(Call& call, Transaction& transaction, const Json& before,
                 const Json& after) {
  std::int64_t last = 0;
  for (const Json* rule : {&before, &after}) {
    if (rule->is_null() || before == after) continue;
    const std::int64_t id = id_of((*rule)["container"].get<std::int64_t>());
    if (id != last) touch_container(call, transaction, id);
    last = id;
  }
}

void complete_container(Call& call, Fields& fields, const std::string& uuid) {
  fields.emplace_back("uuid", uuid);
  for (auto& field : new_container_fields(call, uuid)) {
    fields.push_back(std::move(field));
  }
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
      reset_for_server(call, transaction, id);
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
      {{"username", Type::kLine, "a name without a colon, 255 bytes at most",
        true, 1, kUsernameBytesMax, is_username, "^[^:]+$"},
       password_field(true),
       {"email", Type::kLine, "mail address"},
       {"company", Type::kLine, "company"},
       {"vat", Type::kLine, "VAT number"}}};
  static const AdminCollection collection = {
      .path = "/admin/customers",
      .item_path = "/admin/customers/{id}",
      .table = "customers",
      .object = "customer",
      .create = create,
      .change = all_optional(create, "AdminCustomer"),
      .fields = {{"username"}, {"email"}, {"company"}, {"vat"}},
      .has_uuid = true,
      .complete = complete_customer,
      .check = check_customer,
      .leave = leave_customer,
      .dependents = {{"servers", "owner_id"}, {"containers", "customer_id"},
                     {"domains", "customer_id"}, {"legions", "customer_id"},
                     {"floating_addresses", "customer_id"},
                     {"custom_services", "customer_id"}},
      .prepare = make_secrets};
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
      .path = "/admin/containers",
      .item_path = "/admin/containers/{id}",
      .table = "containers",
      .object = "container",
      .create = create,
      .change = all_optional(create, "AdminContainer"),
      .fields = {kCustomer, kServer, {"name"}, {"memory", Kind::kInteger},
                 {"storage", Kind::kInteger},
                 {"distro", Kind::kId, "distro_id", "distros"}},
      .shown = {{"uid", Kind::kUid, "t.id"}, {"uuid", Kind::kText, "t.uuid"},
                {"ip", Kind::kContainerIp, "t.id"}},
      .complete = complete_container,
      .check = check_container,
      .leave = leave_container};
  return collection;
}

const AdminCollection& admin_domains() {
  static const Schema create = {
      "AdminNewDomain",
      {username("customer"),
       domain_name_field(),
       {"note", Type::kText, "free text", false, 0, 16'384}}};
  static const AdminCollection collection = {
      .path = "/admin/domains",
      .item_path = "/admin/domains/{id}",
      .table = "domains",
      .object = "domain",
      .create = create,
      .change = all_optional(create, "AdminDomain"),
      .fields = {kCustomer, {"name"}, {"note"}},
      .has_uuid = true,
      .has_mtime = true,
      .check = check_domain};
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
      .path = "/admin/custom_services",
      .item_path = "/admin/custom_services/{id}",
      .table = "custom_services",
      .object = "custom_service",
      .create = create,
      .change = all_optional(create, "AdminCustomService"),
      .fields = {{"name"}, kCustomer, kServer, {"config"}},
      .has_mtime = true};
  return collection;
}

const AdminCollection& admin_news() {
  static const Schema create = {
      "AdminNewNews",
      {{"content", Type::kText, "the text", true, 1, 32'768},
       {"public", Type::kFlag, "shown without a login"}}};
  static const AdminCollection collection = {
      .path = "/admin/news",
      .item_path = "/admin/news/{id}",
      .table = "news",
      .object = "news",
      .create = create,
      .change = all_optional(create, "AdminNews"),
      .fields = {{"content"}, {"public", Kind::kFlag}},
      .shown = {{"date", Kind::kInteger, "t.date"}},
      .complete = date_news};
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
       {"src", Type::kLine, kAddressAbout, true, 1, 45, is_ip_address},
       {"src_mask", Type::kInteger, "bits", false, 0, 128},
       {"dst", Type::kLine, kAddressAbout, true, 1, 45, is_ip_address},
       {"dst_mask", Type::kInteger, "bits", false, 0, 128}}};
  static const AdminCollection collection = {
      .path = "/admin/rules",
      .item_path = "/admin/rules/{id}",
      .table = "rules",
      .object = "rule",
      .create = create,
      .change = all_optional(create, "AdminRule"),
      .fields = {{"container", Kind::kUid, "container_id"},
                 {"direction"}, {"action"}, {"target"}, {"src"},
                 {"src_mask", Kind::kInteger, {}, {}, {}, true, 32},
                 {"dst"},
                 {"dst_mask", Kind::kInteger, {}, {}, {}, true, 32}},
      .changed = touch_ruled};
  return collection;
}

}  // namespace fealty::api
