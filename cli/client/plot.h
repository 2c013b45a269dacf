#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace fealty::cli {

using Sample = std::pair<std::int64_t, double>;   // unix seconds, value

struct PlotSize {
  std::size_t columns = 80;      // of the terminal, axis included
  std::size_t rows = 12;         // without the axis of time
};

// One day of samples as a chart of block characters: from 0 to a round number
// above the greatest, the largest sample of each column's time. A column without
// one stays empty. The day's hours, UTC's, stand below it. Pure.
[[nodiscard]] std::string plot(std::span<const Sample> samples,
                               std::int64_t day_s, PlotSize size);

// 1234567 as 1.2M; at most five characters.
[[nodiscard]] std::string short_number(double value);

}  // namespace fealty::cli
