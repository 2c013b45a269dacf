#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "cli/client/event_reader.h"
#include "cli/client/prompt.h"
#include "cli/client/runs.h"
#include "cli/client/visible.h"

namespace fealty::cli::runs {
namespace {

constexpr std::size_t kShownAtFirst = 10;
// So many of the longest messages are less than an answer may have.
constexpr std::size_t kAskedAtOnce = 40;
// Between streams, where they do not say it themselves.
constexpr std::int64_t kRetry_ms = 2'000;
constexpr std::int64_t kRetryLeast_ms = 100;
constexpr std::int64_t kRetryMost_ms = 60'000;
constexpr std::size_t kMessageBytesMax = 65'536;

// Shows new alarms as they come. The stream of events tells that there are some;
// which they are is asked for by the number of the last one that was seen, so that
// a stream that breaks off, or is not to be had, loses none and repeats none.
class Follower {
 public:
  Follower(Session& session, const std::string& query)
      : session_(session),
        path_(std::string(alarms().path) + (query.empty() ? "?" : query + "&")) {}

  // Until there is no use in going on.
  Done run() {
    const Done begun = show_last();
    if (!begun) return begun;
    for (std::int64_t pause_ms = kRetry_ms;;) {
      const Done done = listen();
      if (!done && is_final(done.error())) return done;
      if (done) pause_ms = retry_ms_;
      if (!done) tell_once(done.error().message);
      is_away_ = !done;
      std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
      pause_ms = std::min(pause_ms * 2, kRetryMost_ms);
    }
  }

 private:
  // A 404 is not: it may be the router's, while the API is away.
  [[nodiscard]] bool is_final(const Problem& problem) const {
    return is_unread_ || problem.exit_code != kExitRun ||
           problem.status == 400 || problem.status == 403;
  }

  void tell_once(const std::string& message) const {
    if (is_away_) return;
    std::fprintf(stderr, "fealty alarms: %s; trying on\n", message.c_str());
  }

  // What came since the last stream, and all until this one ends: at its first
  // bytes whatever the look before has missed.
  Done listen() {
    Done looked = look();
    if (!looked) return looked;
    EventReader events("alarm");
    bool has_begun = false;
    const auto answer = session_.listen("/events", [&](std::string_view piece) {
      if (events.feed(piece) || !has_begun) looked = look();
      has_begun = true;
      return static_cast<bool>(looked);
    });
    retry_ms_ = std::clamp(events.retry_ms().value_or(kRetry_ms), kRetryLeast_ms,
                           kRetryMost_ms);
    if (has_begun) return looked;
    if (!answer) return answer.error();
    return Problem("/events is no stream; is this the API?");
  }

  Done show_last() {
    const auto list = session_.get_list(
        path_ + "range=" + std::to_string(kAskedAtOnce) + "-0");
    if (!list) return list.error();
    return show(*list, std::max(list->size(), kShownAtFirst) - kShownAtFirst);
  }

  Done look() {
    while (true) {
      const std::int64_t before = last_id_;
      const auto list = session_.get_list(
          path_ + "limit=" + std::to_string(kAskedAtOnce) +
          "&since=" + std::to_string(last_id_));
      if (!list) return list.error();
      const Done shown = show(*list, 0);
      const bool is_all = list->size() < kAskedAtOnce || last_id_ == before;
      if (!shown || is_all) return shown;
    }
  }

  static std::int64_t number_in(const Json& alarm, const char* key) {
    const auto at = alarm.find(key);
    const bool fits = at != alarm.end() && at->is_number_integer();
    return fits ? at->get<std::int64_t>() : 0;
  }

  // Those that are new, from this place on.
  Done show(const Json& list, std::size_t from) {
    const std::int64_t seen = last_id_;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::int64_t id = number_in(list[i], "id");
      if (id <= seen) continue;
      last_id_ = std::max(last_id_, id);
      if (i < from) continue;
      const Done printed = Session::print(line_of(list[i]));
      is_unread_ = !printed;
      if (!printed) return printed;
    }
    return Ok{};
  }
  // A line each, without a head: how wide the next will be is not known.
  [[nodiscard]] std::string line_of(const Json& alarm) const {
    if (session_.form() != Form::kTable) {
      return session_.form() == Form::kJson
                 ? json_text(alarm)
                 : list_text(alarms().columns, Json::array({alarm}),
                             Form::kTabs);
    }
    const auto text = [&](const char* key) {
      return visible(cell_text(alarm.value(key, Json(nullptr))));
    };
    return time_text(number_in(alarm, "unix")) + "  " +
           text("container") + "  " + text("class") +
           (text("vassal").empty() ? "" : " " + text("vassal")) + "  " +
           text("msg") + "\n";
  }

  Session& session_;
  const std::string path_;
  std::int64_t last_id_ = 0;
  std::int64_t retry_ms_ = kRetry_ms;
  bool is_away_ = false;
  bool is_unread_ = false;       // nobody takes what is printed
};

Result<std::string, Problem> message_of(const Session& session) {
  if (session.call().has("MESSAGE")) return session.call().one("MESSAGE");
  return read_stdin(kMessageBytesMax);
}

}  // namespace

Done list_alarms(Session& session) {
  if (!session.call().has("--follow")) return list(session);
  if (session.call().has("--range")) {
    return wrong_usage("--range is for a list, not with --follow");
  }
  const auto query = query_of(session);
  if (!query) return query.error();
  return Follower(session, *query).run();
}

Done raise_alarm(Session& session) {
  const auto number = target_of(session);
  if (!number) return number.error();
  const auto query = query_of(session);
  if (!query) return query.error();
  const auto message = message_of(session);
  if (!message) return message.error();
  const auto answer = session.answer_to(
      {"POST", "/alarms/raise/" + std::to_string(*number) + *query, *message,
       "text/plain; charset=utf-8"});
  if (!answer) return answer.error();
  const std::string id = cell_text(answer->value("id", Json(nullptr)));
  return session.report(*answer, id, "alarm " + id + ": raised");
}

Done show_alarm_key(Session& session) {
  const auto number = target_of(session);
  if (!number) return number.error();
  const std::string path = "/alarm_key/" + std::to_string(*number);
  const auto answer = session.call().has("--renew")
                          ? session.post(path, Json::object())
                          : session.get(path);
  if (!answer) return answer.error();
  const std::string key = cell_text(answer->value("alarm_key", Json(nullptr)));
  return session.report(*answer, key, key);
}

}  // namespace fealty::cli::runs
