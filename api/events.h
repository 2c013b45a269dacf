#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/json.h"

namespace fealty::api {

struct Call;
class Transaction;

// What has changed, told to those whom it concerns: customers at their interfaces,
// servers that are to act. Each row of `events` is for one of them; the numbers
// grow in the order in which the changes are seen, since writers take turns.
struct Audience {
  enum class Kind : std::uint8_t { kCustomer, kServer };
  Kind kind = Kind::kCustomer;
  std::int64_t id = 0;
  bool operator==(const Audience&) const = default;
};
struct Event {
  std::int64_t id = 0;
  Audience audience;
  std::string text;                 // as the stream has it, its empty line included
  // It is of the reader itself, whose password or certificate may be another now:
  // its streams end with it, and it comes back as who it is.
  bool ends = false;
};
// A reader of the stream: what comes after `last_id` is for it.
struct Follow {
  Audience audience;
  std::int64_t last_id = 0;
};

// Notes a change of an object in the transaction that makes it. `shown` is what
// the API shows of it, or did; whom it concerns is told by its keys. Objects that
// concern nobody leave no event.
void note_event(const Call& call, Transaction& transaction,
                std::string_view object, std::int64_t id, const Json& shown,
                std::string_view change);

// Where it has got another customer or server, by itself or with another container:
// it is deleted for the former ones, who are in `from`, what the API showed of it
// that is so no more; `to` is what it shows now.
void note_departure(const Call& call, Transaction& transaction,
                    std::string_view object, std::int64_t id, const Json& from,
                    const Json& to);

// Those after `id`, kEventsAtOnce at most; for everybody, or for one.
inline constexpr std::size_t kEventsAtOnce = 1'000;
[[nodiscard]] std::vector<Event> events_after(Transaction& transaction,
                                              std::int64_t id);
[[nodiscard]] std::vector<Event> events_for(Transaction& transaction,
                                            const Follow& follow);
// The last one's number, 0 where there was none.
[[nodiscard]] std::int64_t last_event(Transaction& transaction);

inline constexpr std::int64_t kEventDays = 1;   // they are kept so long

}  // namespace fealty::api
