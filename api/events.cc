#include "api/events.h"

#include <algorithm>
#include <array>
#include <optional>

#include "api/route.h"

namespace fealty::api {
namespace {

constexpr std::string_view kColumns =
    "id, unix, customer_id, server_id, object, object_id, change";

// Those that customers and servers have to do with.
constexpr std::array<std::string_view, 11> kObjects = {
    "alarm",    "container", "custom_distro", "custom_service",
    "customer", "domain",    "loopbox",       "portmapping",
    "rule",     "server",    "tag"};

bool is_told(std::string_view object) {
  return std::find(kObjects.begin(), kObjects.end(), object) != kObjects.end();
}

std::int64_t id_by(Transaction& transaction, std::string_view from,
                   const Json& shown, std::string_view key) {
  const auto name = shown.find(key);
  if (!shown.is_object() || name == shown.end() || !name->is_string()) return 0;
  const auto row = transaction.one("id", from, {name->get<std::string>()});
  return row ? row->integer("id") : 0;
}

// Whom an object concerns; 0: nobody of that kind.
struct Concerned {
  std::int64_t customer = 0;
  std::int64_t server = 0;
};

std::optional<Concerned> owners_of(Transaction& transaction,
                                   std::int64_t container) {
  const auto row = transaction.one("customer_id, server_id",
                                   "FROM containers WHERE id = ?", {container});
  if (!row) return std::nullopt;
  return Concerned{row->integer("customer_id"), row->integer("server_id")};
}

// Of the container that an object shows; 0: of none.
std::int64_t container_in(const Json& shown) {
  if (!shown.is_object() || !shown.contains("container")) return 0;
  return shown["container"].get<std::int64_t>() - kUidBase;
}

Concerned named_in(Transaction& transaction, const Json& shown) {
  return {id_by(transaction, "FROM customers WHERE username = ?", shown, "customer"),
          id_by(transaction, "FROM servers WHERE name = ?", shown, "server")};
}

Concerned concerned_by(const Call& call, Transaction& transaction,
                       std::string_view object, std::int64_t id,
                       const Json& shown) {
  Concerned out;
  if (object == "server") return {0, id};
  if (call.caller.kind == Caller::Kind::kCustomer) out.customer = call.caller.id;
  if (object == "customer") out.customer = id;
  const std::int64_t container =
      object == "container" ? id : container_in(shown);
  if (container != 0) {
    if (const auto owners = owners_of(transaction, container)) return *owners;
  }
  const Concerned named = named_in(transaction, shown);
  if (out.customer == 0) out.customer = named.customer;
  out.server = named.server;
  return out;
}

void insert(Transaction& transaction, const Value& customer, const Value& server,
            const Values& what) {
  Values values{customer, server};
  values.insert(values.end(), what.begin(), what.end());
  transaction.run(
      "INSERT INTO events (customer_id, server_id, unix, object, object_id, "
      "change) VALUES (?, ?, ?, ?, ?, ?)", values);
}

void tell(Transaction& transaction, const Concerned& whom,
          std::string_view object, const Values& what) {
  if (whom.customer != 0) insert(transaction, whom.customer, nullptr, what);
  if (whom.server != 0) insert(transaction, nullptr, whom.server, what);
  if (object != "domain" || whom.customer == 0) return;
  // Their routers have the domains of those who have a container there.
  for (const Row& row : transaction.select(
           "DISTINCT server_id", "FROM containers WHERE customer_id = ?",
           {whom.customer})) {
    insert(transaction, nullptr, row.integer("server_id"), what);
  }
}

Event event_of(const RowView& row) {
  enum : std::size_t {
    kId, kUnix, kCustomer, kServer, kObject, kObjectId, kChange,
  };
  Event event;
  event.id = row.integer(kId);
  event.audience = row.is_null(kServer)
                       ? Audience{Audience::Kind::kCustomer, row.integer(kCustomer)}
                       : Audience{Audience::Kind::kServer, row.integer(kServer)};
  const bool is_container = row.text(kObject) == "container";
  event.ends = row.text(kObject) == "customer" || row.text(kObject) == "server";
  const Json data = {
      {"object", row.text(kObject)},
      {"id", row.integer(kObjectId) + (is_container ? kUidBase : 0)},
      {"change", row.text(kChange)},
      {"unix", row.integer(kUnix)}};
  event.text = "id: " + std::to_string(event.id) + "\nevent: " +
               std::string(row.text(kObject)) + "\ndata: " + data.dump() + "\n\n";
  return event;
}

std::vector<Event> select(Transaction& transaction, std::string_view where,
                          const Values& values) {
  std::vector<Event> events;
  transaction.each(kColumns,
                   "FROM events WHERE " + std::string(where) +
                       " ORDER BY id LIMIT " + std::to_string(kEventsAtOnce),
                   values, [&](const RowView& row) {
                     events.push_back(event_of(row));
                     return true;
                   });
  return events;
}

}  // namespace

void note_event(const Call& call, Transaction& transaction,
                std::string_view object, std::int64_t id, const Json& shown,
                std::string_view change) {
  if (!is_told(object)) return;
  tell(transaction, concerned_by(call, transaction, object, id, shown), object,
       {call.now(), std::string(object), id, std::string(change)});
}

void note_departure(const Call& call, Transaction& transaction,
                    std::string_view object, std::int64_t id, const Json& from,
                    const Json& to) {
  if (!is_told(object)) return;
  Concerned former = named_in(transaction, from);
  if (const std::int64_t container = container_in(from); container != 0) {
    former = owners_of(transaction, container).value_or(former);
  }
  const Concerned now = concerned_by(call, transaction, object, id, to);
  if (former.customer == now.customer) former.customer = 0;
  if (former.server == now.server) former.server = 0;
  tell(transaction, former, object,
       {call.now(), std::string(object), id, std::string("deleted")});
}

std::vector<Event> events_after(Transaction& transaction, std::int64_t id) {
  return select(transaction, "id > ?", {id});
}

std::vector<Event> events_for(Transaction& transaction, const Follow& follow) {
  const bool is_customer = follow.audience.kind == Audience::Kind::kCustomer;
  return select(transaction,
                is_customer ? "customer_id = ? AND id > ?"
                            : "server_id = ? AND id > ?",
                {follow.audience.id, follow.last_id});
}

std::int64_t last_event(Transaction& transaction) {
  return transaction.one("COALESCE(max(id), 0) AS last", "FROM events")
      ->integer("last");
}

}  // namespace fealty::api
