#include "cli/client/plot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "cli/client/visible.h"

namespace fealty::cli {
namespace {

constexpr std::int64_t kDay = 1'700'006'400;       // a midnight of UTC's

std::vector<std::string> lines(std::span<const Sample> samples, PlotSize size) {
  std::istringstream text(plot(samples, kDay, size));
  std::vector<std::string> out;
  for (std::string line; std::getline(text, line);) out.push_back(line);
  return out;
}

TEST(Plot, FillsTheTerminalAndNoMore) {
  const std::vector<Sample> samples = {{kDay, 10}, {kDay + 86'399, 100}};
  for (const std::size_t columns : {24U, 40U, 80U, 200U}) {
    const auto shown = lines(samples, {columns, 5});
    ASSERT_EQ(shown.size(), 7U);
    for (const std::string& line : shown) EXPECT_LE(width_of(line), columns);
    EXPECT_EQ(width_of(shown[5]), columns - 3);
  }
}

TEST(Plot, TheAxesAreNamed) {
  const auto shown = lines(std::vector<Sample>{{kDay, 180}}, {80, 4});
  EXPECT_EQ(shown[0].substr(0, 9), "   200┤");
  EXPECT_EQ(shown[2].substr(0, 9), "   100┤");
  EXPECT_EQ(shown[5].substr(0, 11), "       00h ");
  EXPECT_TRUE(shown[5].ends_with("24h"));
}

TEST(Plot, TheGreatestOfAColumnsTimeCounts) {
  const std::vector<Sample> samples = {{kDay, 1}, {kDay + 1, 100}, {kDay + 2, 2}};
  EXPECT_EQ(lines(samples, {80, 2})[0], "   100┤█");
}

TEST(Plot, NothingIsNotTheSameAsNoSample) {
  const std::vector<Sample> samples = {{kDay, 0}, {kDay + 43'200, 5}};
  const auto shown = lines(samples, {24, 2});
  EXPECT_EQ(shown[1], "   2.5┤▁      █");
}

TEST(Plot, OtherDaysAndWhatIsNoNumberAreLeftOut) {
  const std::vector<Sample> samples = {
      {kDay - 1, 9e9}, {kDay + 86'400, 9e9}, {kDay, std::nan("")}, {kDay, -5}};
  const auto shown = lines(samples, {24, 2});
  EXPECT_EQ(shown[0], "     1┤");
  EXPECT_EQ(shown[1], "   0.5┤▁");
}

TEST(Plot, NoSampleIsTooSmallOrTooGreatOrTooFar) {
  using Limits = std::numeric_limits<double>;
  using Times = std::numeric_limits<std::int64_t>;
  for (const double value : {Limits::denorm_min(), Limits::min(), Limits::max()}) {
    const std::vector<Sample> samples = {
        {kDay, value}, {Times::min(), 1}, {Times::max(), 1}};
    const auto shown = lines(samples, {24, 2});
    ASSERT_EQ(shown.size(), 4U);
    EXPECT_NE(shown[1].find("┤"), std::string::npos);
    EXPECT_EQ(shown[0].find("nan"), std::string::npos);
    EXPECT_EQ(shown[0].find("inf"), std::string::npos);
  }
}

TEST(ShortNumber, HasAUnit) {
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(999), "999");
  EXPECT_EQ(short_number(2'500'000), "2.5M");
  EXPECT_EQ(short_number(1e12), "1T");
}

}  // namespace
}  // namespace fealty::cli
