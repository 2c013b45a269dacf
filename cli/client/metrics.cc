#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstdio>

#include "base/log.h"
#include "cli/admin_client.h"
#include "cli/client/plot.h"
#include "cli/client/runs.h"
#include "cli/client/visible.h"

namespace fealty::cli::runs {
namespace {

struct Day {
  int year = 0;
  int month = 0;
  int day = 0;
  std::int64_t begin_s = 0;
};

// YYYY-MM-DD; today without one. Days are UTC's, as the API's are.
Result<Day, Problem> read_day(const std::string& text) {
  using namespace std::chrono;
  year_month_day date(floor<days>(system_clock::now()));
  if (!text.empty()) {
    int year = 0;
    unsigned month = 0;
    unsigned day = 0;
    int read = 0;
    if (std::sscanf(text.c_str(), "%4d-%2u-%2u%n", &year, &month, &day,
                    &read) != 3 ||
        static_cast<std::size_t>(read) != text.size()) {
      return wrong_usage("--day: YYYY-MM-DD is expected");
    }
    date = year_month_day(std::chrono::year(year), std::chrono::month(month),
                          std::chrono::day(day));
    if (!date.ok()) return wrong_usage("--day: there is no such day");
  }
  return Day{static_cast<int>(date.year()),
             static_cast<int>(static_cast<unsigned>(date.month())),
             static_cast<int>(static_cast<unsigned>(date.day())),
             sys_seconds(sys_days(date)).time_since_epoch().count()};
}

std::size_t terminal_columns() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    return size.ws_col;
  }
  const char* const columns = std::getenv("COLUMNS");
  const long count = columns == nullptr ? 0 : std::atol(columns);
  return count > 0 && count < 1000 ? static_cast<std::size_t>(count) : 80;
}

// A container's samples; those of a domain are by the container.
struct Series {
  std::string container;
  std::vector<Sample> samples;
  std::vector<std::string> values;   // theirs, to the last digit
};

void add_samples(const Json& list, Series& out) {
  for (const Json& pair : list) {
    if (pair.is_array() && pair.size() == 2 && pair[0].is_number_integer() &&
        pair[1].is_number()) {
      out.samples.emplace_back(pair[0].get<std::int64_t>(),
                               pair[1].get<double>());
      out.values.push_back(pair[1].dump());
    }
  }
}

std::vector<Series> series_of(const Json& answer, bool of_domain,
                              const std::string& target) {
  std::vector<Series> out;
  if (!of_domain) add_samples(answer, out.emplace_back(Series{target, {}, {}}));
  for (const Json& each : answer) {
    if (!of_domain || !each.is_object()) continue;
    auto& series = out.emplace_back(
        Series{cell_text(each.value("container", Json(nullptr))), {}, {}});
    add_samples(each.value("metrics", Json::array()), series);
  }
  return out;
}

std::string plotted(const std::vector<Series>& all, const std::string& title,
                    const Day& day) {
  std::string out;
  for (const Series& series : all) {
    out += visible(title + ", " + series.container) +
           fmt::format(", {:04}-{:02}-{:02} (UTC)\n", day.year, day.month,
                       day.day);
    if (series.samples.empty()) {
      out += "there are no samples\n";
      continue;
    }
    out += plot(series.samples, day.begin_s, {terminal_columns()});
  }
  return out.empty() ? "there are no samples\n" : out;
}

Json rows_of(const std::vector<Series>& all) {
  Json rows = Json::array();
  for (const Series& series : all) {
    for (std::size_t i = 0; i < series.samples.size(); ++i) {
      rows.push_back({{"container", series.container},
                      {"unix", series.samples[i].first},
                      {"value", series.values[i]}});
    }
  }
  return rows;
}

}  // namespace

Done show_metrics(Session& session) {
  const bool as_chart = session.call().has("--plot");
  if (as_chart && session.form() == Form::kJson) {
    return wrong_usage("--plot is for people, and --json is not");
  }
  const auto day = read_day(session.call().one("--day"));
  if (!day) return day.error();
  const std::string target = session.call().one("TARGET");
  // A name with a dot is a domain's; anything else is a container.
  std::string metric = session.call().one("METRIC");
  const bool of_domain =
      metric.starts_with("domain.") ||
      (!metric.starts_with("container.") && target.find('.') != target.npos);
  if (!metric.starts_with("domain.") && !metric.starts_with("container.")) {
    metric = (of_domain ? "domain." : "container.") + metric;
  }
  const auto number =
      session.number_of(of_domain ? domains() : containers(), target);
  if (!number) return number.error();
  const auto answer = session.get_list(fmt::format(
      "/metrics/{}/{}?year={}&month={}&day={}",
      percent_encoded(metric), *number, day->year, day->month, day->day));
  if (!answer) return answer.error();
  if (session.form() == Form::kJson) return Session::print(json_text(*answer));
  const auto all = series_of(*answer, of_domain, std::to_string(*number));
  if (as_chart) {
    return Session::print(plotted(all, metric, *day));
  }
  static const std::vector<Column> columns = {
      {"container", "CONTAINER"}, {"unix", "TIME", true}, {"value", "VALUE"}};
  return Session::print(list_text(columns, rows_of(all), session.form()));
}

}  // namespace fealty::cli::runs
