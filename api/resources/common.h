#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

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

// A line of the audit log: who changed what, from what, to what. `before` and
// `after` are what the API shows of it; null: it was or is not there.
void audit(const Call& call, Transaction& transaction, std::string_view object,
           std::int64_t id, const Json& before, const Json& after);

// The conditions and values that a list's WHERE is made of.
class Filter {
 public:
  // `condition` with its question marks.
  void add(std::string_view condition, const Values& values);
  // Those with any of the tags of ?tags=a,b. `object` is the id's column.
  void add_tags(const Call& call, std::string_view table,
                std::string_view object);
  // ?after= and ?limit= by this column; false where they are no numbers.
  [[nodiscard]] bool add_page(const Call& call, std::string_view column);

  // " WHERE … ORDER BY … LIMIT …"
  [[nodiscard]] std::string text() const;
  [[nodiscard]] const Values& values() const { return values_; }

 private:
  std::string conditions_;
  std::string order_;
  Values values_;
};

inline constexpr std::int64_t kPageMax = 10'000;
[[nodiscard]] Answer bad_page();

// A query's number; `valid` false where it is none.
[[nodiscard]] std::optional<std::int64_t> asked_number(const Call& call,
                                                       std::string_view key,
                                                       bool& valid);

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
// What a new container begins with, beside its name, owner, place and size.
[[nodiscard]] Fields new_container_fields(const Call& call);
// A new container's row; its id.
std::int64_t insert_container(const Call& call, Transaction& transaction,
                              std::int64_t customer, std::int64_t server,
                              const Json& body);
// What the API shows of it in a list.
inline constexpr std::string_view kContainerColumns =
    "c.id, c.name, c.memory, c.storage, c.uuid, c.distro_id, "
    "d.name AS distro_name, c.custom_distro_id, x.name AS custom_distro_name, "
    "s.name AS server, s.address AS server_address";
inline constexpr std::string_view kContainerTables =
    "FROM containers c JOIN servers s ON s.id = c.server_id "
    "LEFT JOIN distros d ON d.id = c.distro_id "
    "LEFT JOIN custom_distros x ON x.id = c.custom_distro_id";
void write_container(const Row& row, const Json& tags, ListWriter& out);
// All of it; it must be there.
[[nodiscard]] Json container_object(Transaction& transaction, std::int64_t id);

// Rebooted, as far as the server that it is on goes by: a later mtime.
void touch_container(const Call& call, Transaction& transaction,
                     std::int64_t id);

[[nodiscard]] std::vector<std::string> split_commas(const std::string& text);

}  // namespace fealty::api
