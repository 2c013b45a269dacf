#include "api/metrics.h"

#include <chrono>

#include "api/resources/common.h"
#include "api/resources/resources.h"

namespace fealty::api {
namespace {

constexpr std::string_view kTodayCache = "private, max-age=300";
constexpr std::string_view kPastCache = "private, max-age=86400";

// The day's first second; nothing where there is no such day.
std::optional<std::int64_t> asked_day(const Call& call) {
  const std::chrono::year_month_day today(std::chrono::floor<std::chrono::days>(
      std::chrono::sys_seconds(std::chrono::seconds(call.now()))));
  bool valid = true;
  const auto year = asked_number(call, "year", valid)
                        .value_or(static_cast<int>(today.year()));
  const auto month = asked_number(call, "month", valid)
                         .value_or(static_cast<unsigned>(today.month()));
  const auto day = asked_number(call, "day", valid)
                       .value_or(static_cast<unsigned>(today.day()));
  if (!valid || year < 1970 || year > 9999 || month > 12 || day > 31) {
    return std::nullopt;
  }
  const std::chrono::year_month_day asked(
      std::chrono::year(static_cast<int>(year)),
      std::chrono::month(static_cast<unsigned>(month)),
      std::chrono::day(static_cast<unsigned>(day)));
  if (!asked.ok()) return std::nullopt;
  return std::chrono::sys_seconds(std::chrono::sys_days(asked))
      .time_since_epoch()
      .count();
}

Json sample(const Row& row) {
  return Json::array({row.integer("unix"), row.integer("value")});
}

Json container_samples(Transaction& transaction, std::int64_t container,
                       const Metric& metric, std::int64_t day) {
  Json out = Json::array();
  for (const Row& row : transaction.select(
           "unix, value",
           "FROM container_metrics WHERE container_id = ? AND metric = ? AND "
           "unix >= ? AND unix < ? ORDER BY unix",
           {container, metric.number, day, day + kDaySeconds})) {
    out.push_back(sample(row));
  }
  return out;
}

Json domain_samples(Transaction& transaction, std::int64_t domain,
                    const Metric& metric, std::int64_t day) {
  Json out = Json::array();
  std::int64_t last = 0;
  for (const Row& row : transaction.select(
           "container_id, unix, value",
           "FROM domain_metrics WHERE domain_id = ? AND metric = ? AND "
           "unix >= ? AND unix < ? ORDER BY container_id, unix",
           {domain, metric.number, day, day + kDaySeconds})) {
    const std::int64_t container = row.integer("container_id");
    if (container != last) {
      out.push_back({{"container", uid_of(container)},
                     {"metrics", Json::array()}});
      last = container;
    }
    out.back()["metrics"].push_back(sample(row));
  }
  return out;
}

Answer show(Call& call, Transaction& transaction) {
  const auto metric = find_metric(call.parts.at(0));
  if (!metric) return not_found();
  const auto day = asked_day(call);
  if (!day) return bad_request("year, month, day: there is no such day");
  Answer answer;
  if (metric->of_domain) {
    if (!transaction.exists("FROM domains WHERE id = ? AND customer_id = ?",
                            {call.number(1), call.caller.id})) {
      return not_found();
    }
    answer = ok(domain_samples(transaction, call.number(1), *metric, *day));
  } else {
    const auto row = own_container(call, transaction, call.number(1));
    if (!row) return forbidden();
    answer = ok(container_samples(transaction, row->integer("id"), *metric,
                                  *day));
  }
  const bool is_past = *day + kDaySeconds <= call.now();
  answer.headers["Cache-Control"] = is_past ? kPastCache : kTodayCache;
  return answer;
}

}  // namespace

void add_metrics(Routes& routes) {
  routes.push_back(with_query(
      {"GET", "/metrics/{name}/{id}", Access::kCustomer,
       Mode::kRead, show,
       "One day of container.* (of a uid) or domain.* (of an id)"},
      "year,month,day"));
}

}  // namespace fealty::api
