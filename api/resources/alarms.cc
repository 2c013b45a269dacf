#include "api/resources/alarm_store.h"

#include <algorithm>
#include <charconv>

#include "api/identity.h"
#include "api/resources/common.h"
#include "api/resources/resources.h"

namespace fealty::api {
namespace {

constexpr std::string_view kColumns =
    "a.id, a.container_id, a.level, a.color, a.class, a.vassal, a.line, "
    "a.filename, a.func, a.unix, a.msg";
constexpr std::string_view kTables = "FROM alarms a";
constexpr std::string_view kFilters = "container,vassal,class,color,level,line,"
                                      "filename,func,range,with_total,after,limit,since";
// The same, of a list that was put the other way round.
constexpr std::string_view kPageColumns =
    "id, container_id, level, color, class, vassal, line, filename, func, unix, "
    "msg";

// The places of kColumns.
void write_alarm(const RowView& row, ListWriter& out) {
  enum : std::size_t {
    kId, kContainer, kLevel, kColor, kClass, kVassal, kLine, kFilename, kFunc,
    kUnix, kMsg,
  };
  out.begin_object();
  out.add("id", row.integer(kId));
  out.add("container", uid_of(row.integer(kContainer)));
  out.add("level", row.integer(kLevel));
  out.add("color", row.text(kColor));
  out.add("class", row.text(kClass));
  out.add("vassal", row.text(kVassal));
  out.add_integer("line", row, kLine);
  out.add("filename", row.text(kFilename));
  out.add("func", row.text(kFunc));
  out.add("unix", row.integer(kUnix));
  out.add("msg", row.text(kMsg));
  out.end_object();
}

// Which of the list, newest first: [from, from + count), backwards if it was
// asked so. `in_turn`: in the order in which they were raised.
struct Range {
  std::int64_t from = 0;
  std::int64_t count = 0;
  bool backwards = false;
  bool in_turn = false;
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
  filter.add("a.customer_id = ?", {call.caller.id});
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

// Numbers grow with time, but where somebody gave `unix`: they have to do for an
// alarm that is gone.
void go_on_after(const Call& call, Transaction& transaction, std::int64_t id,
                 Filter& filter) {
  const auto last = transaction.one(
      "a.unix", std::string(kTables) + " WHERE a.id = ? AND a.customer_id = ?",
      {id, call.caller.id});
  if (!last) return filter.add("a.id < ?", {id});
  const std::int64_t unix = last->integer("unix");
  filter.add("(a.unix < ? OR (a.unix = ? AND a.id < ?))", {unix, unix, id});
}

// ?after= and ?since= go to the filter, ?range= and ?limit= to `range`.
std::optional<Answer> read_page(const Call& call, Transaction& transaction,
                                Filter& filter, Range& range) {
  bool valid = true;
  const auto after = asked_number(call, "after", valid);
  const auto limit = asked_limit(call);
  if (!valid || !limit) return bad_page();
  if (after) go_on_after(call, transaction, *after, filter);
  range = {0, *limit};
  const auto asked = call.request.asked("range");
  const auto since = asked_number(call, "since", valid);
  if (!valid || (since && (after || asked))) {
    return bad_request("since: an alarm's id, without after and range");
  }
  if (since) {
    filter.add("a.id > ?", {*since});
    range.in_turn = true;
  }
  if (!asked) return std::nullopt;
  const auto found = read_range(*asked);
  if (!found) return refusal(416, "Requested Range Not Satisfiable");
  range = {found->from, std::min(found->count, *limit), found->backwards};
  return std::nullopt;
}

void write_page(Transaction& transaction, const Filter& filter,
                const Range& range, ListWriter& out) {
  std::string_view columns = kColumns;
  std::string rest = std::string(kTables) + filter.text() +
                     " ORDER BY " +
                     (range.in_turn ? "a.id" : "a.unix DESC, a.id DESC") +
                     " LIMIT " + std::to_string(range.count) + " OFFSET " +
                     std::to_string(range.from);
  if (range.backwards) {
    columns = kPageColumns;
    rest = "FROM (SELECT " + std::string(kColumns) + " " + rest +
           ") AS page ORDER BY unix, id";
  }
  transaction.each(columns, rest, filter.values(), [&](const RowView& row) {
    write_alarm(row, out);
    return !out.is_full();
  });
}

Answer list(Call& call, Transaction& transaction) {
  Filter filter;
  if (auto refused = add_filters(call, transaction, filter)) {
    return *std::move(refused);
  }
  const Filter all = filter;
  Range range;
  if (auto refused = read_page(call, transaction, filter, range)) {
    return *std::move(refused);
  }
  ListWriter out;
  write_page(transaction, filter, range, out);
  if (!call.request.asked("with_total")) return ok_list(out);
  const auto total = transaction.one(
      "count(*) AS total", std::string(kTables) + all.text(), all.values());
  std::string alarms = out.take();
  alarms.pop_back();
  Answer answer;
  answer.text = "{\"total\":" + total->text("total") + ",\"alarms\":" + alarms + "}\n";
  return answer;
}

// Null where there is none of the caller's.
Json own(const Call& call, Transaction& transaction) {
  ListWriter out;
  transaction.each(kColumns,
                   std::string(kTables) + " WHERE a.id = ? AND a.customer_id = ?",
                   {call.number(), call.caller.id}, [&](const RowView& row) {
                     write_alarm(row, out);
                     return true;
                   });
  Json found = Json::parse(out.take());
  return found.empty() ? Json(nullptr) : std::move(found.front());
}

Answer show(Call& call, Transaction& transaction) {
  Json alarm = own(call, transaction);
  return alarm.is_null() ? forbidden() : ok(std::move(alarm));
}

Answer remove(Call& call, Transaction& transaction) {
  const Json alarm = own(call, transaction);
  if (alarm.is_null()) return forbidden();
  transaction.remove("alarms", call.number());
  audit(call, transaction, "alarm", call.number(), alarm, nullptr);
  return ok_message();
}

constexpr std::string_view kKey[] = {"alarm_key"};

Answer show_key(Call& call, Transaction& transaction) {
  const auto row =
      own_container(call, transaction, call.number(), "uuid, alarm_key");
  if (!row) return forbidden();
  Json answer = {{"message", "Ok"}};
  if (!open_secrets(call, *row, kKey, answer)) return kept_shut();
  return ok(std::move(answer));
}

Answer renew_key(Call& call, Transaction& transaction) {
  const auto row = own_container(call, transaction, call.number(), "id, uuid");
  if (!row) return forbidden();
  const std::string key = make_uuid();
  set_secret(call, transaction, *row, "alarm_key", key);
  return ok({{"message", "Ok"}, {"alarm_key", key}});
}

}  // namespace

void add_alarms(Routes& routes) {
  routes.push_back(with_query(
      {"GET", "/alarms", Access::kCustomer, Mode::kRead, list,
       "The containers' alarms, newest first"},
      kFilters));
  routes.push_back({"GET", "/alarms/{id}", Access::kCustomer, Mode::kRead, show,
                    "One of them"});
  routes.push_back({"DELETE", "/alarms/{id}", Access::kCustomer, Mode::kWrite,
                    remove, "Takes it away"});
  routes.push_back({"GET", "/alarm_key/{uid}", Access::kCustomer, Mode::kRead,
                    show_key, "The key that raises alarms of this container"});
  routes.push_back({"POST", "/alarm_key/{uid}", Access::kCustomer, Mode::kWrite,
                    renew_key, "Another one"});
}

}  // namespace fealty::api
