#include "api/identity.h"
#include "api/resources/common.h"
#include "api/resources/resources.h"

namespace fealty::api {
namespace {

constexpr std::int64_t kPortMin = 1024;
constexpr std::int64_t kPortMax = 65'535;

bool is_proto(std::string_view text) { return text == "tcp" || text == "udp"; }

const Field kProto = {"proto", Type::kLine, "tcp or udp", true, 3, 3, is_proto,
                      "^(tcp|udp)$"};
const Field kPublicPort = {"public_port", Type::kInteger,
                           "1024 to 65535, not 1999, 3022 or 3026", true,
                           kPortMin, kPortMax};
const Schema kCreate = {
    "NewPortmapping",
    {kProto, kPublicPort,
     {"container", Type::kInteger, "uid of a container of this server", true, 1,
      kIntegerMax},
     {"private_port", Type::kInteger, "the container's", true, kPortMin,
      kPortMax}}};
const Schema kRemove = {"Portmapping", {kProto, kPublicPort}};

constexpr std::string_view kColumns =
    "id, proto, public_port, container_id, private_port";

Json object_of(const Row& row) {
  const std::int64_t container = row.integer("container_id");
  return {{"id", row.integer("id")},
          {"proto", row.text("proto")},
          {"public_port", row.integer("public_port")},
          {"container", uid_of(container)},
          {"container_ip", container_ip(container)},
          {"private_port", row.integer("private_port")}};
}

// The caller's server with the path's address.
std::optional<std::int64_t> own_server(const Call& call,
                                       Transaction& transaction) {
  const auto row =
      transaction.one("id", "FROM servers WHERE address = ? AND owner_id = ?",
                      {call.parts.at(0), call.caller.id});
  return row ? std::optional(row->integer("id")) : std::nullopt;
}

std::optional<Row> mapping(const Call& call, Transaction& transaction,
                           std::int64_t server) {
  return transaction.one(
      kColumns,
      "FROM portmappings WHERE server_id = ? AND proto = ? AND public_port = ?",
      {server, text_of(call.body, "proto"),
       integer_of(call.body, "public_port")});
}

Answer list(Call& call, Transaction& transaction) {
  const auto server = own_server(call, transaction);
  if (!server) return forbidden();
  Filter filter;
  filter.add("server_id = ?", {*server});
  if (auto refused = filter.add_page(call, "id")) return *std::move(refused);
  Json out = Json::array();
  for (const Row& row : transaction.select(
           kColumns, "FROM portmappings" + filter.text(), filter.values())) {
    out.push_back(object_of(row));
  }
  return ok(std::move(out));
}

Answer create(Call& call, Transaction& transaction) {
  const auto server = own_server(call, transaction);
  if (!server) return forbidden();
  const std::int64_t port = integer_of(call.body, "public_port");
  if (port == 1999 || port == 3022 || port == 3026) {
    return bad_request("public_port: the server itself needs it");
  }
  const std::int64_t container = id_of(integer_of(call.body, "container"));
  if (!transaction.exists("FROM containers WHERE id = ? AND server_id = ?",
                          {container, *server})) {
    return forbidden();
  }
  if (mapping(call, transaction, *server)) {
    return conflict("public_port: it is mapped already");
  }
  const std::int64_t id = transaction.insert(
      "portmappings", {{"server_id", *server},
                       {"container_id", container},
                       {"proto", text_of(call.body, "proto")},
                       {"public_port", port},
                       {"private_port", integer_of(call.body, "private_port")}});
  Json object = object_of(*mapping(call, transaction, *server));
  audit(call, transaction, "portmapping", id, nullptr, object);
  object["message"] = "Created";
  return created(std::move(object));
}

Answer remove(Call& call, Transaction& transaction) {
  const auto server = own_server(call, transaction);
  if (!server) return forbidden();
  const auto row = mapping(call, transaction, *server);
  if (!row) return not_found();
  transaction.remove("portmappings", row->integer("id"));
  audit(call, transaction, "portmapping", row->integer("id"), object_of(*row),
        nullptr);
  return ok_message();
}

}  // namespace

void add_portmappings(Routes& routes) {
  constexpr std::string_view kPath = "/portmappings/{address}";
  routes.push_back(with_query(
      {"GET", kPath, Access::kCustomer, Mode::kRead, list,
       "Ports of a server of one's own"},
      "after,limit"));
  routes.push_back({"POST", kPath, Access::kCustomer, Mode::kWrite, create,
                    "Maps a port to one of a container", &kCreate});
  routes.push_back({"DELETE", kPath, Access::kCustomer, Mode::kWrite, remove,
                    "Takes a mapping away", &kRemove});
}

}  // namespace fealty::api
