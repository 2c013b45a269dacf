#include "cli/client/plot.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace fealty::cli {
namespace {

constexpr std::int64_t kDay_s = 86'400;
constexpr std::size_t kLabelColumns = 7;          // " 1.25M┤"
constexpr std::size_t kLeastColumns = 24;
constexpr std::array<const char*, 9> kBlocks = {" ", "▁", "▂", "▃", "▄",
                                                "▅", "▆", "▇", "█"};

// 1, 2 or 5 times a power of ten, not below `value`.
double round_above(double value) {
  constexpr double kMost = std::numeric_limits<double>::max();
  // Powers of ten below that are not exact, or 0.
  if (!(value > 1e-300)) return 1;
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double step : {1.0, 2.0, 2.5, 5.0}) {
    if (step * power >= value) return std::min(step * power, kMost);
  }
  return std::min(10 * power, kMost);
}

// The greatest value of each column's time; below 0: there is none.
std::vector<double> columns_of(std::span<const Sample> samples,
                               std::int64_t day_s, std::size_t columns) {
  std::vector<double> out(columns, -1);
  for (const auto& [unix_s, value] : samples) {
    if (unix_s < day_s || unix_s >= day_s + kDay_s || !std::isfinite(value)) {
      continue;
    }
    const auto at = static_cast<std::size_t>(unix_s - day_s) * columns /
                    static_cast<std::size_t>(kDay_s);
    out[at] = std::max({out[at], value, 0.0});
  }
  return out;
}

// Hours below their columns, as many as there is room for.
std::string time_axis(std::size_t columns) {
  const std::size_t step = columns >= 72 ? 3 : columns >= 36 ? 6 : 12;
  std::string out(columns + 3, ' ');
  for (std::size_t hour = 0; hour <= 24; hour += step) {
    const std::string label = fmt::format("{:02}h", hour);
    const std::size_t at = std::min(hour * columns / 24, columns);
    out.replace(at, label.size(), label);
  }
  while (out.ends_with(' ')) out.pop_back();
  return out;
}

}  // namespace

std::string short_number(double value) {
  constexpr std::array<const char*, 7> kUnits = {"",  "k", "M", "G",
                                                 "T", "P", "E"};
  std::size_t unit = 0;
  while (std::abs(value) >= 1000 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{:.3g}{}", value, kUnits[unit]);
}

std::string plot(std::span<const Sample> samples, std::int64_t day_s,
                 PlotSize size) {
  const std::size_t columns =
      std::max(size.columns, kLeastColumns) - kLabelColumns - 3;
  const std::size_t rows = std::max<std::size_t>(size.rows, 2);
  const std::vector<double> values = columns_of(samples, day_s, columns);
  const double top =
      round_above(*std::max_element(values.begin(), values.end()));
  std::string out;
  for (std::size_t row = rows; row-- > 0;) {
    const bool labelled = row + 1 == rows || row + 1 == rows / 2;
    const double edge = top * (static_cast<double>(row + 1) /
                               static_cast<double>(rows));
    std::string line = fmt::format("{:>{}}", labelled ? short_number(edge) : "",
                                   kLabelColumns - 1) +
                       (labelled ? "┤" : "│");
    std::size_t kept = line.size();
    for (const double value : values) {
      const double eighths = value / top * static_cast<double>(rows) * 8;
      const double within =
          std::clamp(eighths - static_cast<double>(row) * 8, 0.0, 8.0);
      auto block = static_cast<std::size_t>(std::ceil(within));
      // Nothing is not the same as no sample.
      if (row == 0 && value >= 0) block = std::max<std::size_t>(block, 1);
      line += kBlocks[block];
      if (block > 0) kept = line.size();
    }
    out += line.substr(0, kept) + "\n";
  }
  out += std::string(kLabelColumns - 1, ' ') + "└";
  for (std::size_t i = 0; i < columns; ++i) out += "─";
  return out + "\n" + std::string(kLabelColumns, ' ') + time_axis(columns) +
         "\n";
}

}  // namespace fealty::cli
