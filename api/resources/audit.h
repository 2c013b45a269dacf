#pragma once

#include <string_view>
#include <utility>

#include "api/route.h"

namespace fealty::api {

// A line of the audit log: who changed what, from what, to what. `before` and
// `after` are what the API shows of it; null: it was or is not there. Of a change
// the keys that differ are kept, and nothing at all where none does. Whom it
// concerns gets an event (events.h).
void audit(const Call& call, Transaction& transaction, std::string_view object,
           std::int64_t id, const Json& before, const Json& after);
// The same of a secret that was set anew, whatever it was.
void audit_secret(const Call& call, Transaction& transaction,
                  std::string_view object, std::int64_t id,
                  std::string_view key);

// What is kept of the two: secrets are masked, long texts cut.
[[nodiscard]] std::pair<Json, Json> audited(const Json& before,
                                            const Json& after);

}  // namespace fealty::api
