#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "api/route.h"

namespace fealty::api {

// A collection of /admin/…: one table, and how its rows are written and shown.

struct AdminField {
  enum class Kind : std::uint8_t {
    kText,
    kInteger,
    kFlag,
    kReference,      // another table's row, by its name; null: none
    kUid,            // a container, by its uid
    kId,             // another table's row, by its id; null: none
    kSecret,         // sealed; never shown
    kContainerIp,    // of a container's number; shown alone
  };
  std::string_view name;            // in JSON
  Kind kind = Kind::kText;
  std::string_view column = {};     // "": as in JSON
  std::string_view table = {};      // kReference
  std::string_view key = {};        // its column that names a row
  bool shown = true;
  // A new row's value where none is given; texts are "" then.
  std::int64_t otherwise = 0;

  [[nodiscard]] std::string_view where() const {
    return column.empty() ? name : column;
  }
};

// What an object shows beyond its fields: an expression of its row, `t`.
struct AdminShown {
  std::string_view name;            // in JSON
  AdminField::Kind kind;
  std::string_view sql;
};

// Rows of another table that keep one of these from being deleted.
struct AdminDependent {
  std::string_view table;
  std::string_view column;          // that holds its id
};

struct AdminCollection {
  std::string_view path;
  std::string_view item_path;       // of one of them
  std::string_view table;
  std::string_view object;          // what one of them is called
  Schema create;
  Schema change;
  std::vector<AdminField> fields;
  std::vector<AdminShown> shown = {};
  // Columns that are written by themselves.
  bool has_uuid = false;            // of a new row
  bool has_mtime = false;           // of every change
  // Further columns of a new row.
  void (*complete)(Call&, Fields&, const std::string& uuid) = nullptr;
  // Before a row is written: `id` 0: a new one. It may refuse, or add columns.
  std::optional<Answer> (*check)(Call&, Transaction&, std::int64_t id,
                                 Fields&) = nullptr;
  // After it was written: what lies in other tables.
  std::optional<Answer> (*after)(Call&, Transaction&, std::int64_t id) = nullptr;
  // Before one is deleted: what has to go, or to be told, with it.
  void (*leave)(Call&, Transaction&, std::int64_t id) = nullptr;
  // When all is done; null: it was not there, or is not any more.
  void (*changed)(Call&, Transaction&, const Json& before,
                  const Json& after) = nullptr;
  std::vector<AdminDependent> dependents = {};
  // Adds what lies in other tables to the objects of a page, in their order.
  void (*attach)(Transaction&, std::vector<Json>& page) = nullptr;
  Prepare prepare = nullptr;
};

// GET and POST of the path, GET, POST and DELETE of /ID.
void add_collection(Routes& routes, const AdminCollection& collection);

}  // namespace fealty::api
