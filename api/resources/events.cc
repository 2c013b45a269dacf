#include "api/events.h"

#include "api/resources/common.h"
#include "api/resources/resources.h"

namespace fealty::api {
namespace {

// The number after which a reader goes on: Last-Event-ID, which its library sends
// by itself, or ?after=.
std::optional<std::int64_t> asked_last(const Call& call, bool& valid) {
  const std::string& last = call.request.last_event_id;
  if (last.empty()) return asked_number(call, "after", valid);
  const bool is_number = last.size() < 19 &&
                         last.find_first_not_of("0123456789") == last.npos;
  valid = is_number;
  return is_number ? std::optional(std::stoll(last)) : std::nullopt;
}

Answer follow(Call& call, Transaction& transaction) {
  bool valid = true;
  const auto last = asked_last(call, valid);
  if (!valid) return bad_request("after, Last-Event-ID: the last event's id");
  const bool is_server = call.caller.kind == Caller::Kind::kServer;
  Follow reader{{is_server ? Audience::Kind::kServer : Audience::Kind::kCustomer,
                 call.caller.id},
                last_event(transaction)};
  Answer answer;
  answer.type = "text/event-stream";
  answer.headers["Cache-Control"] = "no-cache";
  // So long a reader waits before it asks again.
  answer.text = "retry: 2000\n\n";
  if (last && *last < reader.last_id) {
    const auto missed = events_for(transaction, {reader.audience, *last});
    for (const Event& event : missed) answer.text += event.text;
    // There may be more: it comes back for them, before it hears what is new.
    if (missed.size() >= kEventsAtOnce) return answer;
  }
  // Of what this transaction sees it has all, and others' events are none of its:
  // nothing old is ever looked up for those who follow.
  answer.follow = reader;
  return answer;
}

}  // namespace

void add_events(Routes& routes) {
  routes.push_back(with_query(
      {"GET", "/events", Access::kCustomer, Mode::kRead, follow,
       "What changes, as it does (text/event-stream)"},
      "after"));
  routes.push_back(with_query(
      {"GET", "/private/events", Access::kServer, Mode::kRead, follow,
       "What changes of what this server runs (text/event-stream)"},
      "after"));
}

}  // namespace fealty::api
