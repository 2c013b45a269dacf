#pragma once

#include <optional>

#include "api/route.h"

namespace fealty::api {

// A POST with an Idempotency-Key gets, sent again within kAnsweredDays, the
// answer that it got before, and changes nothing. The answer is kept, sealed, in the
// transaction of the change itself, and goes after that time (housekeeper.h). Keys
// belong to who sends them: a customer, a server, a container that raises alarms by
// its key, the administrator. Refusals are not kept.

// The answer from before; 409 where the key was another request's.
[[nodiscard]] std::optional<Answer> earlier_answer(const Call& call,
                                                   Transaction& transaction);
void remember_answer(const Call& call, Transaction& transaction,
                     const Answer& answer);

inline constexpr std::int64_t kAnsweredDays = 1;

}  // namespace fealty::api
