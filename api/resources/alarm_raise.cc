#include <algorithm>

#include "api/metrics.h"
#include "api/resources/alarm_store.h"
#include "api/resources/common.h"
#include "api/resources/resources.h"

namespace fealty::api {
namespace {

constexpr std::size_t kTextBytesMax = 255;
constexpr std::int64_t kLevelMax = 4;

Answer raise(Call& call, Transaction& transaction) {
  const bool by_key = call.caller.kind == Caller::Kind::kContainer;
  if (!by_key && !own_container(call, transaction, call.number())) {
    return forbidden();
  }
  NewAlarm alarm{id_of(call.number())};
  bool valid = true;
  alarm.level = asked_number(call, "level", valid).value_or(1);
  alarm.line = asked_number(call, "line", valid);
  alarm.unix = asked_number(call, "unix", valid).value_or(call.now());
  if (!valid || alarm.level > kLevelMax ||
      std::max(alarm.line.value_or(0), alarm.unix) > kUnixMax) {
    return bad_request("level (1 to 4), line, unix: numbers are expected");
  }
  if (alarm.unix > call.now() + kDaySeconds) {
    return bad_request("unix: it is in the future");
  }
  if (alarm.level == 0) return forbidden("level: 0 is the system's");
  if (const auto color = call.request.asked("color")) {
    alarm.color = color_of(*color);
    if (alarm.color.empty()) return bad_request("color: #rrggbb is expected");
  }
  for (const auto& [key, out] :
       {std::pair("class", &alarm.class_name), std::pair("vassal", &alarm.vassal),
        std::pair("func", &alarm.func), std::pair("filename", &alarm.filename)}) {
    *out = call.request.asked(key).value_or("");
    if (out->size() > kTextBytesMax) {
      return bad_request(std::string(key) + ": 255 bytes at most");
    }
  }
  alarm.message = call.request.body;
  if (!is_text(alarm.message)) return bad_request("the message is no UTF-8");
  const std::int64_t id = store_alarm(call, transaction, alarm);
  return created({{"message", "Created"}, {"id", id}});
}

}  // namespace

std::string color_of(std::string text) {
  if (text.starts_with('#')) text.erase(0, 1);
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'F' ? static_cast<char>(c + ('a' - 'A')) : c;
  });
  const bool fits = text.size() == 6 &&
                    text.find_first_not_of("0123456789abcdef") == text.npos;
  return fits ? "#" + text : "";
}

std::int64_t store_alarm(const Call& call, Transaction& transaction,
                         const NewAlarm& alarm) {
  const auto owner = transaction.one(
      "customer_id", "FROM containers WHERE id = ?", {alarm.container});
  Value line = nullptr;
  if (alarm.line) line = *alarm.line;
  const std::int64_t id = transaction.insert(
      "alarms", {{"container_id", alarm.container},
                 {"customer_id", owner->integer("customer_id")},
                 {"unix", alarm.unix},
                 {"level", alarm.level},
                 {"color", alarm.color},
                 {"class", alarm.class_name},
                 {"vassal", alarm.vassal},
                 {"line", line},
                 {"filename", alarm.filename},
                 {"func", alarm.func},
                 {"msg", alarm.message}});
  transaction.run(
      "DELETE FROM alarms WHERE id IN (SELECT id FROM alarms "
      "WHERE container_id = ? ORDER BY unix DESC, id DESC LIMIT 1000000 OFFSET ?)",
      {alarm.container,
       static_cast<std::int64_t>(call.options.limits.alarms)});
  note_event(call, transaction, "alarm", id,
             {{"container", uid_of(alarm.container)}}, "created");
  return id;
}

void add_alarm_raising(Routes& routes) {
  for (const std::string_view path :
       {"/alarms/raise/{uid}", "/alarms/trigger/{uid}"}) {
    routes.push_back(with_raw_text(with_query(
        {"POST", path, Access::kAlarmKey, Mode::kWrite, raise,
         "Raises one; the raw body is its message"},
        "key,color,class,vassal,line,func,filename,level,unix")));
  }
}

}  // namespace fealty::api
