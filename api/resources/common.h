#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "api/resources/audit.h"
#include "api/resources/filter.h"
#include "api/route.h"

namespace fealty::api {

// What several resources need. Whose an object is, is decided here and in the
// WHERE of each list, nowhere else.

[[nodiscard]] inline std::int64_t uid_of(std::int64_t id) { return id + kUidBase; }
[[nodiscard]] inline std::int64_t id_of(std::int64_t uid) { return uid - kUidBase; }

// The caller's container with this uid; nothing where there is none, or it is
// another's.
[[nodiscard]] std::optional<Row> own_container(const Call& call,
                                               Transaction& transaction,
                                               std::int64_t uid,
                                               std::string_view columns = "id");

// Tags of objects, in tables such as container_tags.
[[nodiscard]] Json tags_of(Transaction& transaction, std::string_view table,
                           std::int64_t object);
// Of all the caller's objects, by id.
[[nodiscard]] std::map<std::int64_t, Json> tags_by_object(
    const Call& call, Transaction& transaction, std::string_view table);
// Fails naming the tag that the customer does not have.
[[nodiscard]] std::optional<Answer> set_tags(const Call& call,
                                             Transaction& transaction,
                                             std::string_view table,
                                             std::int64_t object,
                                             const Json& names);

// Whether a server has so much left, in MB, beside its other containers. Right
// until the transaction ends: writers take turns.
[[nodiscard]] std::optional<Answer> check_capacity(Transaction& transaction,
                                                   std::int64_t server,
                                                   std::int64_t memory,
                                                   std::int64_t storage,
                                                   std::int64_t except = 0);
// What a new container begins with, beside its uuid, name, owner, place and size.
[[nodiscard]] Fields new_container_fields(const Call& call,
                                          const std::string& uuid);
// A new container's row; its id.
std::int64_t insert_container(const Call& call, Transaction& transaction,
                              std::int64_t customer, std::int64_t server,
                              const Json& body);
// What the API shows of it in a list.
inline constexpr std::string_view kContainerColumns =
    "c.id, c.name, c.memory, c.storage, c.uuid, c.distro_id, "
    "d.name AS distro_name, c.custom_distro_id, "
    "CASE WHEN c.custom_distro_id IS NULL THEN NULL ELSE (SELECT x.name "
    "FROM custom_distros x WHERE x.id = c.custom_distro_id) END "
    "AS custom_distro_name, "
    "s.name AS server, s.address AS server_address";
inline constexpr std::string_view kContainerTables =
    "FROM containers c JOIN servers s ON s.id = c.server_id "
    "LEFT JOIN distros d ON d.id = c.distro_id";
void write_container(const RowView& row, const Json& tags, ListWriter& out);
// All of it but its secrets; it must be there.
[[nodiscard]] Json container_object(Transaction& transaction, std::int64_t id);

// A container's secrets lie sealed in the columns of their names. `row` has those
// and the uuid; they are opened into `out`, false where one cannot be.
[[nodiscard]] std::string sealed_for_container(const Call& call,
                                               std::string_view key,
                                               std::string_view uuid,
                                               std::string_view secret);
// What is answered then: the database was changed behind the service's back.
[[nodiscard]] Answer kept_shut();
[[nodiscard]] bool open_secrets(const Call& call, const Row& row,
                                std::span<const std::string_view> keys, Json& out);
// Another secret, with its line in the audit log. `row` has the id and the uuid.
void set_secret(const Call& call, Transaction& transaction, const Row& row,
                std::string_view key, std::string_view secret);

// Rebooted, as far as the server that it is on goes by: a later mtime.
void touch_container(const Call& call, Transaction& transaction,
                     std::int64_t id);

// A container that gets another customer, or another server, keeps nothing that the
// first one put there, or that ties it to what is no longer beside it.
void reset_for_customer(const Call& call, Transaction& transaction,
                        std::int64_t id);
void reset_for_server(const Call& call, Transaction& transaction,
                      std::int64_t id);
// Those that use a custom distro, or one of a container's, go back to their distro:
// they are rebooted, and that is told.
void detach_from_distro(const Call& call, Transaction& transaction,
                        std::int64_t custom_distro);
void detach_from_distros_of(const Call& call, Transaction& transaction,
                            std::int64_t container);

// Prepares `password_hash` where a password is given.
[[nodiscard]] std::optional<Answer> hash_password(Call& call);

[[nodiscard]] Field password_field(bool required);

// What servers may read, and its query.
void add_for_servers(Routes& routes, std::string_view path, Handler handler,
                     std::string_view summary, std::string_view query = {});

// The key of a domain's name, as every schema has it.
[[nodiscard]] Field domain_name_field();

}  // namespace fealty::api
