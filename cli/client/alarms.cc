#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "cli/admin_client.h"
#include "cli/advice.h"
#include "cli/client/prompt.h"
#include "cli/client/runs.h"
#include "cli/client/visible.h"

namespace fealty::cli::runs {
namespace {

constexpr std::size_t kShownAtFirst = 10;
constexpr std::size_t kAskedAtOnce = 100;
constexpr std::size_t kAskedMost = 100'000;
constexpr std::int64_t kEveryLeast_ms = 100;
constexpr std::int64_t kEveryMost_ms = 60'000;
constexpr std::size_t kMessageBytesMax = 65'536;

// Shows new alarms as they come. The API has nothing that waits for them: it is
// asked again and again, with the ETag of the answer before.
class Follower {
 public:
  Follower(Session& session, std::string query)
      : session_(session),
        path_(std::string(alarms().path) + (query.empty() ? "?" : query + "&") +
              "range=") {}

  Done run(std::int64_t every_ms) {
    std::int64_t pause_ms = every_ms;
    for (bool first = true;; first = false) {
      const Done done = look(first);
      if (done) {
        pause_ms = every_ms;
        is_away_ = false;
      } else if (first || failed_for_good_) {
        return done;
      } else {
        tell_once(done.error().message);
        pause_ms = std::min(pause_ms * 2, std::max(every_ms, kEveryMost_ms));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
    }
  }

 private:
  void tell_once(const std::string& message) {
    if (!is_away_) {
      std::fprintf(stderr, "fealty alarms: %s; trying on\n", message.c_str());
    }
    is_away_ = true;
  }

  // What is newer than all that was seen, and as far back as there is any.
  Done look(bool first) {
    for (std::size_t range = kAskedAtOnce;; range *= 2) {
      const auto answer = session_.send(
          {"GET", path_ + std::to_string(range), {}, {},
           range == kAskedAtOnce ? etag_ : ""});
      if (!answer) {
        failed_for_good_ = answer.error().exit_code != kExitRun;
        return answer.error();
      }
      if (answer->status == 304) return Ok{};
      const auto list = parse_json(answer->body);
      if (!list || !list->is_array()) return Problem("the API answers no list");
      const auto fresh = new_ones(*list);
      if (!first && fresh.size() >= range && range < kAskedMost) continue;
      if (range == kAskedAtOnce) etag_ = answer->etag;
      return show(fresh, first);
    }
  }

  std::vector<Json> new_ones(const Json& list) const {
    std::vector<Json> out;
    for (const Json& alarm : list) {
      if (id_of(alarm) > last_id_) out.push_back(alarm);
    }
    std::sort(out.begin(), out.end(), [](const Json& a, const Json& b) {
      return id_of(a) < id_of(b);
    });
    return out;
  }
  static std::int64_t id_of(const Json& alarm) {
    return number_in(alarm, "id");
  }
  static std::int64_t number_in(const Json& alarm, const char* key) {
    const auto at = alarm.find(key);
    const bool fits = at != alarm.end() && at->is_number_integer();
    return fits ? at->get<std::int64_t>() : 0;
  }

  Done show(const std::vector<Json>& fresh, bool first) {
    const std::size_t from = first && fresh.size() > kShownAtFirst
                                 ? fresh.size() - kShownAtFirst
                                 : 0;
    for (std::size_t i = 0; i < fresh.size(); ++i) {
      last_id_ = std::max(last_id_, id_of(fresh[i]));
      if (i < from) continue;
      const Done printed = Session::print(line_of(fresh[i]));
      failed_for_good_ = !printed;
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
  std::string etag_;
  std::int64_t last_id_ = 0;
  bool is_away_ = false;
  bool failed_for_good_ = false;
};

Result<std::string, Problem> message_of(const Session& session) {
  if (session.call().has("MESSAGE")) return session.call().one("MESSAGE");
  return read_stdin(kMessageBytesMax);
}

}  // namespace

Done list_alarms(Session& session) {
  const bool is_timed = session.call().has("--every");
  if (!session.call().has("--follow")) {
    return is_timed ? wrong_usage("--every is for --follow") : list(session);
  }
  const auto every =
      read_duration_ms(is_timed ? session.call().one("--every") : "5s");
  if (!every || *every < kEveryLeast_ms) {
    return wrong_usage("--every: a time from 100ms on is expected");
  }
  if (session.call().has("--range")) {
    return wrong_usage("--range is for a list, not with --follow");
  }
  const auto query = query_of(session);
  if (!query) return query.error();
  return Follower(session, *query).run(*every);
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
