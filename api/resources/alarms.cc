#include "api/resources/alarm_store.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "api/identity.h"
#include "api/passwords.h"
#include "api/resources/common.h"
#include "api/resources/resources.h"

namespace fealty::api {
namespace {

constexpr std::string_view kColumns =
    "a.id, a.container_id, a.level, a.color, a.class, a.vassal, a.line, "
    "a.filename, a.func, a.unix, a.msg";
constexpr std::string_view kTables =
    "FROM alarms a JOIN containers c ON c.id = a.container_id";
constexpr std::string_view kFilters = "container,vassal,class,color,level,line,"
                                      "filename,func,range,with_total";
constexpr std::size_t kTextBytesMax = 255;
constexpr std::int64_t kLevelMax = 4;

void write_alarm(const Row& row, ListWriter& out) {
  out.begin_object();
  out.add("id", row.integer("id"));
  out.add("container", uid_of(row.integer("container_id")));
  out.add("level", row.integer("level"));
  for (const char* key : {"color", "class", "vassal"}) out.add(key, row.text(key));
  out.add("line", row.integer_or_null("line"));
  for (const char* key : {"filename", "func"}) out.add(key, row.text(key));
  out.add("unix", row.integer("unix"));
  out.add("msg", row.text("msg"));
  out.end_object();
}

Json object_of(const Row& row) {
  ListWriter list;
  write_alarm(row, list);
  return std::move(Json::parse(list.take()).front());
}

// "#rrggbb" of it with or without its #; "" where it is none.
std::string color_of(std::string text) {
  if (text.starts_with('#')) text.erase(0, 1);
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'F' ? static_cast<char>(c + ('a' - 'A')) : c;
  });
  const bool fits = text.size() == 6 &&
                    text.find_first_not_of("0123456789abcdef") == text.npos;
  return fits ? "#" + text : "";
}

// Which of the list, newest first: [from, from + count), backwards if it was
// asked so.
struct Range {
  std::int64_t from = 0;
  std::int64_t count = 0;
  bool backwards = false;
};

std::optional<std::int64_t> read_number(std::string_view text) {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  const bool fits = !text.empty() && text.size() < 10 && error == std::errc() &&
                    at == end && value >= 0;
  return fits ? std::optional(value) : std::nullopt;
}

std::optional<Range> read_range(std::string_view text) {
  const std::size_t hyphen = text.find('-');
  const auto first = read_number(text.substr(0, hyphen));
  if (!first) return std::nullopt;
  if (hyphen == text.npos) return Range{0, *first, false};
  const auto second = read_number(text.substr(hyphen + 1));
  if (!second) return std::nullopt;
  const auto [low, high] = std::minmax(*first, *second);
  return Range{low, high - low, *first > *second};
}

std::optional<Answer> add_filters(const Call& call, Transaction& transaction,
                                  Filter& filter) {
  filter.add("c.customer_id = ?", {call.caller.id});
  bool valid = true;
  if (const auto uid = asked_number(call, "container", valid)) {
    if (!own_container(call, transaction, *uid)) return forbidden();
    filter.add("a.container_id = ?", {id_of(*uid)});
  }
  for (const char* key : {"level", "line"}) {
    if (const auto number = asked_number(call, key, valid)) {
      filter.add("a." + std::string(key) + " = ?", {*number});
    }
  }
  if (!valid) return bad_request("container, level, line: numbers are expected");
  for (const char* key : {"vassal", "class", "filename", "func"}) {
    if (auto text = call.request.asked(key)) {
      filter.add("a." + std::string(key) + " = ?", {*std::move(text)});
    }
  }
  if (const auto color = call.request.asked("color")) {
    filter.add("a.color = ?", {color_of(*color)});
  }
  return std::nullopt;
}

Answer list(Call& call, Transaction& transaction) {
  Filter filter;
  if (auto refused = add_filters(call, transaction, filter)) {
    return *std::move(refused);
  }
  std::string rest = std::string(kTables) + filter.text() +
                     " ORDER BY a.unix DESC, a.id DESC";
  Values values = filter.values();
  Range range;
  if (const auto asked = call.request.asked("range")) {
    const auto found = read_range(*asked);
    if (!found) return refusal(416, "Requested Range Not Satisfiable");
    range = *found;
    rest += " LIMIT ? OFFSET ?";
    values.emplace_back(range.count);
    values.emplace_back(range.from);
  }
  Rows rows = transaction.select(kColumns, rest, values);
  if (range.backwards) std::reverse(rows.begin(), rows.end());
  ListWriter list;
  for (const Row& row : rows) write_alarm(row, list);
  if (!call.request.asked("with_total")) return ok_list(list);
  const auto total =
      transaction.one("count(*) AS total",
                      std::string(kTables) + filter.text(), filter.values());
  return ok({{"total", total->integer("total")},
             {"alarms", Json::parse(list.take())}});
}

std::optional<Row> own(const Call& call, Transaction& transaction) {
  return transaction.one(
      kColumns, std::string(kTables) + " WHERE a.id = ? AND c.customer_id = ?",
      {call.number(), call.caller.id});
}

Answer show(Call& call, Transaction& transaction) {
  const auto row = own(call, transaction);
  return row ? ok(object_of(*row)) : forbidden();
}

Answer remove(Call& call, Transaction& transaction) {
  const auto row = own(call, transaction);
  if (!row) return forbidden();
  transaction.remove("alarms", row->integer("id"));
  audit(call, transaction, "alarm", row->integer("id"), object_of(*row),
        nullptr);
  return ok_message();
}

// The customer's own container, or the one whose key was given.
std::optional<std::int64_t> container_of(const Call& call,
                                         Transaction& transaction) {
  if (call.caller.kind == Caller::Kind::kCustomer) {
    const auto row = own_container(call, transaction, call.number());
    return row ? std::optional(row->integer("id")) : std::nullopt;
  }
  const auto row =
      transaction.one("id, alarm_key", "FROM containers WHERE id = ?",
                      {id_of(call.number())});
  const auto key = call.request.asked("key");
  if (!row || !key || !equals_in_constant_time(*key, row->text("alarm_key"))) {
    return std::nullopt;
  }
  return row->integer("id");
}

Answer raise(Call& call, Transaction& transaction) {
  const auto container = container_of(call, transaction);
  if (!container) return forbidden();
  NewAlarm alarm{*container};
  bool valid = true;
  alarm.level = asked_number(call, "level", valid).value_or(1);
  alarm.line = asked_number(call, "line", valid);
  alarm.unix = asked_number(call, "unix", valid).value_or(call.now());
  if (!valid || alarm.level > kLevelMax ||
      std::max(alarm.line.value_or(0), alarm.unix) > kUnixMax) {
    return bad_request("level (0 to 4), line, unix: numbers are expected");
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

Answer show_key(Call& call, Transaction& transaction) {
  const auto row =
      own_container(call, transaction, call.number(), "id, alarm_key");
  if (!row) return forbidden();
  return ok({{"message", "Ok"}, {"alarm_key", row->text("alarm_key")}});
}

Answer renew_key(Call& call, Transaction& transaction) {
  const auto row = own_container(call, transaction, call.number());
  if (!row) return forbidden();
  const std::string key = make_uuid();
  transaction.update("containers", row->integer("id"), {{"alarm_key", key}});
  audit(call, transaction, "container", row->integer("id"), nullptr,
        {{"alarm_key", "renewed"}});
  return ok({{"message", "Ok"}, {"alarm_key", key}});
}

}  // namespace

std::int64_t store_alarm(const Call& call, Transaction& transaction,
                         const NewAlarm& alarm) {
  const std::int64_t id = transaction.insert(
      "alarms", {{"container_id", alarm.container},
                 {"unix", alarm.unix},
                 {"level", alarm.level},
                 {"color", alarm.color},
                 {"class", alarm.class_name},
                 {"vassal", alarm.vassal},
                 {"line", alarm.line ? Value(*alarm.line) : Value(nullptr)},
                 {"filename", alarm.filename},
                 {"func", alarm.func},
                 {"msg", alarm.message}});
  transaction.run(
      "DELETE FROM alarms WHERE id IN (SELECT id FROM alarms "
      "WHERE container_id = ? ORDER BY unix DESC, id DESC LIMIT 1000000 OFFSET ?)",
      {alarm.container,
       static_cast<std::int64_t>(call.tools.options.limits.alarms)});
  return id;
}

void add_alarms(Routes& routes) {
  routes.push_back({"GET", "/alarms", Access::kCustomer, Mode::kRead, list,
                    "The containers' alarms, newest first", nullptr, nullptr,
                    400, kFilters});
  routes.push_back({"GET", "/alarms/{id}", Access::kCustomer, Mode::kRead, show,
                    "One of them"});
  routes.push_back({"DELETE", "/alarms/{id}", Access::kCustomer, Mode::kWrite,
                    remove, "Takes it away"});
  for (const std::string_view path :
       {"/alarms/raise/{uid}", "/alarms/trigger/{uid}"}) {
    routes.push_back({"POST", path, Access::kAlarmKey, Mode::kWrite, raise,
                      "Raises one; the raw body is its message", nullptr,
                      nullptr, 400,
                      "key,color,class,vassal,line,func,filename,level,unix"});
  }
  routes.push_back({"GET", "/alarm_key/{uid}", Access::kCustomer, Mode::kRead,
                    show_key, "The key that raises alarms of this container"});
  routes.push_back({"POST", "/alarm_key/{uid}", Access::kCustomer, Mode::kWrite,
                    renew_key, "Another one"});
}

}  // namespace fealty::api
