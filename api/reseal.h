#pragma once

#include "api/database.h"
#include "api/sealer.h"

namespace fealty::api {

// Proves that the database was written with this key, once and for all; and seals,
// once, what was sealed for its column alone and not for its row, and what lay in
// clear. One transaction; several processes may do it at a time.
struct SealProblem {
  std::string message;
  bool is_foreign = false;          // it was written with another one
};
[[nodiscard]] Result<Ok, SealProblem> check_seals(Database& database,
                                                  const Sealer& sealer);

}  // namespace fealty::api
