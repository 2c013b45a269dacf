#include <limits>

#include "api/metrics.h"
#include "api/resources/alarm_store.h"
#include "api/resources/common.h"
#include "api/resources/resources.h"

namespace fealty::api {
namespace {

const Schema kSample = {
    "Sample",
    {{"unix", Type::kInteger, "when", true, 0, kUnixMax},
     {"value", Type::kInteger, "what was measured", true, 0,
      std::numeric_limits<std::int64_t>::max()},
     {"domain", Type::kLine, "of domain metrics"}}};
const Schema kMetadata = {
    "FileMetadata",
    {{"filename", Type::kLine, "a file of the server's, 1024 bytes at most",
      true, 1, 1024, has_1024_bytes_at_most},
     {"metadata", Type::kText, "what is to be known of it", true, 0, 32'768}}};

std::optional<Row> own_container_of_server(const Call& call,
                                           Transaction& transaction,
                                           std::int64_t uid) {
  return transaction.one("id, customer_id",
                         "FROM containers WHERE id = ? AND server_id = ?",
                         {id_of(uid), call.caller.id});
}

// Keeps a sample in the table, and lets go of those that are too old.
void keep(const Call& call, Transaction& transaction, const std::string& table,
          std::string_view owner_column, Values owner, const Metric& metric) {
  std::string columns;
  std::string conditions;
  std::string marks;
  for (const std::string& name : split_commas(std::string(owner_column))) {
    columns += name + ", ";
    conditions += name + " = ? AND ";
    marks += "?, ";
  }
  Values values = owner;
  values.insert(values.end(), {Value(metric.number),
                               Value(integer_of(call.body, "unix")),
                               Value(integer_of(call.body, "value"))});
  transaction.run("INSERT INTO " + table + " (" + columns +
                      "metric, unix, value) VALUES (" + marks + "?, ?, ?) "
                      "ON CONFLICT (" + columns + "metric, unix) "
                      "DO UPDATE SET value = excluded.value",
                  values);
  const auto days =
      static_cast<std::int64_t>(call.options.limits.metrics_days);
  owner.emplace_back(metric.number);
  owner.emplace_back(call.now() - days * kDaySeconds);
  transaction.run("DELETE FROM " + table + " WHERE " + conditions +
                      "metric = ? AND unix < ?", owner);
}

Answer take_metric(Call& call, Transaction& transaction) {
  const auto metric = find_metric(call.parts.at(0));
  if (!metric) return not_found();
  const auto container =
      own_container_of_server(call, transaction, call.number(1));
  if (!container) return forbidden();
  if (integer_of(call.body, "unix") > call.now() + kDaySeconds) {
    return bad_request("unix: it is in the future");
  }
  const std::int64_t id = container->integer("id");
  if (!metric->of_domain) {
    keep(call, transaction, "container_metrics", "container_id", {id}, *metric);
    return created({{"message", "Created"}});
  }
  if (!call.body.contains("domain")) {
    return bad_request("domain: this key is missing");
  }
  const auto domain = transaction.one(
      "id", "FROM domains WHERE name = ? AND customer_id = ?",
      {text_of(call.body, "domain"), container->integer("customer_id")});
  if (!domain) return forbidden();
  keep(call, transaction, "domain_metrics", "domain_id,container_id",
       {domain->integer("id"), id}, *metric);
  return created({{"message", "Created"}});
}

Answer take_alarm(Call& call, Transaction& transaction) {
  const auto container =
      own_container_of_server(call, transaction, call.number());
  if (!container) return forbidden();
  bool valid = true;
  NewAlarm alarm{container->integer("id")};
  alarm.unix = asked_number(call, "unix", valid).value_or(call.now());
  if (!valid || alarm.unix > kUnixMax) {
    return bad_request("unix: a number is expected");
  }
  if (alarm.unix > call.now() + kDaySeconds) {
    return bad_request("unix: it is in the future");
  }
  alarm.message = call.request.body;
  if (!is_text(alarm.message)) return bad_request("the message is no UTF-8");
  const std::int64_t id = store_alarm(call, transaction, alarm);
  return created({{"message", "Created"}, {"id", id}});
}

Answer list_metadata(Call& call, Transaction& transaction) {
  Json out = Json::array();
  for (const Row& row : transaction.select(
           "filename, metadata, mtime",
           "FROM server_file_metadata WHERE server_id = ? ORDER BY filename",
           {call.caller.id})) {
    out.push_back({{"filename", row.text("filename")},
                   {"metadata", row.text("metadata")},
                   {"mtime", row.integer("mtime")}});
  }
  return ok(std::move(out));
}

Answer take_metadata(Call& call, Transaction& transaction) {
  const std::string filename = text_of(call.body, "filename");
  const auto before = transaction.one(
      "metadata",
      "FROM server_file_metadata WHERE server_id = ? AND filename = ?",
      {call.caller.id, filename});
  transaction.run(
      "INSERT INTO server_file_metadata (server_id, filename, metadata, mtime) "
      "VALUES (?, ?, ?, ?) ON CONFLICT (server_id, filename) DO UPDATE SET "
      "metadata = excluded.metadata, mtime = excluded.mtime",
      {call.caller.id, filename, text_of(call.body, "metadata"), call.now()});
  audit(call, transaction, "server_file_metadata", call.caller.id,
        before ? Json{{"filename", filename}, {"metadata", before->text("metadata")}}
               : Json(nullptr),
        {{"filename", filename}, {"metadata", text_of(call.body, "metadata")}});
  return created({{"message", "Created"}});
}

}  // namespace

void add_private_reports(Routes& routes) {
  routes.push_back({"POST", "/private/metrics/{name}/{uid}", Access::kServer,
                    Mode::kWrite, take_metric, "A sample of a metric",
                    &kSample});
  routes.push_back(with_raw_text(with_query(
      {"POST", "/private/alarms/{uid}", Access::kServer, Mode::kWrite, take_alarm,
       "A system alarm; the raw body is its message"},
      "unix")));
  add_for_servers(routes, "/private/serverfilemetadata", list_metadata,
                  "What is known of its files");
  routes.push_back({"POST", "/private/serverfilemetadata", Access::kServer,
                    Mode::kWrite, take_metadata, "What is to be known of one",
                    &kMetadata});
}

}  // namespace fealty::api
