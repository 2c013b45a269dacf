#pragma once

#include "api/database.h"

namespace fealty::api {

// Brings the schema to this version, a transaction for each step; fails where
// the database is of a later version. Several processes may do it at a time.
[[nodiscard]] Status migrate(Database& database);
[[nodiscard]] bool is_of_a_later_version(Transaction& transaction);

}  // namespace fealty::api
