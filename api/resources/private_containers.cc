#include <algorithm>
#include <array>
#include <utility>

#include "api/identity.h"
#include "api/resources/common.h"
#include "api/resources/resources.h"

namespace fealty::api {
namespace {

// A container that can run: it has a distro and somebody's key.
constexpr std::string_view kRunnable =
    "distro_id IS NOT NULL AND ssh_keys <> '[]'";

Answer list_containers(Call& call, Transaction& transaction) {
  Filter filter;
  filter.add("server_id = ?", {call.caller.id});
  filter.add(kRunnable, {});
  if (auto refused = filter.add_page(call, "id", kWhole)) {
    return *std::move(refused);
  }
  Json out = Json::array();
  for (const Row& row : transaction.select(
           "id, mtime, ssh_keys_mtime", "FROM containers" + filter.text(),
           filter.values())) {
    out.push_back({{"uid", uid_of(row.integer("id"))},
                   {"mtime", row.integer("mtime")},
                   {"ssh_keys_mtime", row.integer("ssh_keys_mtime")}});
  }
  return ok(std::move(out));
}

std::optional<Row> runnable(const Call& call, Transaction& transaction,
                            std::string_view columns) {
  return transaction.one(
      columns, "FROM containers WHERE id = ? AND server_id = ? AND " +
                   std::string(kRunnable),
      {id_of(call.number()), call.caller.id});
}

Answer show_ssh_keys(Call& call, Transaction& transaction) {
  const auto row = runnable(call, transaction, "ssh_keys");
  if (!row) return forbidden();
  Answer answer;
  answer.type = "text/plain";
  for (const std::string key : Json::parse(row->text("ssh_keys"))) {
    answer.text += key + "\n";
  }
  return answer;
}

// What a container may speak with: those that it linked. Ones on other servers
// are reached through these.
Json links_of(Transaction& transaction, std::int64_t id, std::int64_t server) {
  Json out = Json::array();
  for (const Row& row : transaction.select(
           "l.linked_id, c.server_id, s.address",
           "FROM container_links l JOIN containers c ON c.id = l.linked_id "
           "JOIN servers s ON s.id = c.server_id WHERE l.container_id = ? "
           "ORDER BY l.linked_id", {id})) {
    const std::int64_t other = row.integer("linked_id");
    const bool is_here = row.integer("server_id") == server;
    out.push_back({{"uid", uid_of(other)},
                   {"ip", container_ip(other)},
                   {"gateway", is_here ? Json(nullptr)
                                       : Json(row.text("address"))}});
  }
  return out;
}

Json rules_of(Transaction& transaction, std::int64_t id) {
  Json out = Json::array();
  for (const Row& row : transaction.select(
           "direction, action, target, src, src_mask, dst, dst_mask",
           "FROM rules WHERE container_id = ? ORDER BY id", {id})) {
    out.push_back({{"direction", row.text("direction")},
                   {"action", row.text("action")},
                   {"target", row.text("target")},
                   {"src", row.text("src")},
                   {"src_mask", row.integer("src_mask")},
                   {"dst", row.text("dst")},
                   {"dst_mask", row.integer("dst_mask")}});
  }
  return out;
}

constexpr std::string_view kSealed[] = {
    "jid_secret",    "pushover_token", "pushbullet_token",
    "slack_webhook", "secret_uuid",    "alarm_key"};

// The customer's, too; false where one cannot be opened.
bool open_all_secrets(const Call& call, const Row& row, Json& out) {
  if (!open_secrets(call, row, kSealed, out)) return false;
  const auto key = call.tools.sealer.open(
      row.text("rsa_private"),
      purpose_of("customers", "rsa_private", row.text("customer")));
  if (!key) return false;
  out["rsa_private"] = *key;
  out["rsa_public"] = row.text("rsa_public");
  return true;
}

// All that a server must know to run a container; its customer's private key
// goes nowhere else.
Result<Json, Answer> configuration(const Call& call, Transaction& transaction) {
  const auto found = runnable(call, transaction, "id");
  if (!found) return forbidden();
  const std::int64_t id = found->integer("id");
  const auto row = transaction.one(
      "c.uuid, c.jid_secret, c.pushover_token, c.pushbullet_token, c.slack_webhook, "
      "c.secret_uuid, c.alarm_key, c.mtime, c.ssh_keys_mtime, u.uuid AS customer, "
      "u.rsa_private, u.rsa_public, s.etc_hosts, s.etc_resolv_conf, "
      "d.path AS distro_path, x.path AS custom_path, x.container_id AS store",
      std::string(kContainerTables) +
          " LEFT JOIN custom_distros x ON x.id = c.custom_distro_id "
          "JOIN customers u ON u.id = c.customer_id WHERE c.id = ?", {id});
  Json out = container_object(transaction, id);
  out["customer"] = row->text("customer");
  out["distro_path"] = row->text("distro_path");
  out["custom_distro_path"] = row->text_or_null("custom_path");
  out["custom_distro_store"] =
      row->is_null("store") ? Json(nullptr) : Json(uid_of(row->integer("store")));
  if (!open_all_secrets(call, *row, out)) return kept_shut();
  out["etc_hosts"] = row->text("etc_hosts");
  out["etc_resolv_conf"] = row->text("etc_resolv_conf");
  out["links"] = links_of(transaction, id, call.caller.id);
  out["rules"] = rules_of(transaction, id);
  out["mtime"] = row->integer("mtime");
  out["ssh_keys_mtime"] = row->integer("ssh_keys_mtime");
  return out;
}

Answer show_json(Call& call, Transaction& transaction) {
  auto object = configuration(call, transaction);
  return object ? ok(*std::move(object)) : object.error();
}

// Where a line ends for whoever reads lines, Unicode's own ends included (as Python's
// splitlines() has them): the place, and how many bytes the end has.
std::pair<std::size_t, std::size_t> end_of_line(std::string_view text) {
  constexpr std::string_view kEnds = "\n\r\v\f\x1c\x1d\x1e";
  constexpr std::array<std::string_view, 3> kLongEnds = {
      "\u0085", "\u2028", "\u2029"};
  std::pair<std::size_t, std::size_t> found{
      std::min(text.find_first_of(kEnds), text.size()), 1};
  for (const std::string_view end : kLongEnds) {
    const std::size_t at = text.find(end);
    if (at < found.first) found = {at, end.size()};
  }
  return found;
}

// "key = value" lines: what has several values, or several lines, has a line for
// each; null and empty ones are left out. No value can begin a line of its own.
void add_line(std::string& text, const std::string& key, const Json& value) {
  if (value.is_null()) return;
  if (value.is_array()) {
    for (const Json& item : value) add_line(text, key, item);
    return;
  }
  const std::string plain = value.is_string() ? value.get<std::string>()
                            : value.is_boolean()
                                ? std::string(value.get<bool>() ? "1" : "0")
                                : value.dump();
  for (std::string_view rest = plain; !rest.empty();) {
    const auto [end, bytes] = end_of_line(rest);
    if (end > 0) text.append(key).append(" = ").append(rest, 0, end).append("\n");
    rest.remove_prefix(std::min(end + bytes, rest.size()));
  }
}

Answer show_ini(Call& call, Transaction& transaction) {
  auto object = configuration(call, transaction);
  if (!object) return object.error();
  Answer answer;
  answer.type = "text/plain";
  answer.text = "[container]\n";
  for (const auto& [key, value] : object->items()) {
    add_line(answer.text, key, value);
  }
  return answer;
}

}  // namespace

void add_private_containers(Routes& routes) {
  add_for_servers(routes, "/private/containers", list_containers,
                  "The containers that this server is to run", "after,limit");
  add_for_servers(routes, "/private/containers/{uid}.ini", show_ini,
                  "One of them, as lines");
  add_for_servers(routes, "/private/containers/{uid}.json", show_json,
                  "One of them");
  add_for_servers(routes, "/private/ssh_keys/{uid}", show_ssh_keys,
                  "Who may log in");
}

}  // namespace fealty::api
