#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace fealty::api {

// What is measured. The place in the list is what the tables hold: names are
// only ever added at the end.
inline constexpr std::array<std::string_view, 9> kContainerMetrics = {
    "io.read", "io.write", "net.rx", "net.tx", "cpu",
    "mem",     "mem.rss",  "mem.cache", "quota"};
inline constexpr std::array<std::string_view, 3> kDomainMetrics = {
    "net.rx", "net.tx", "hits"};

struct Metric {
  bool of_domain = false;
  std::int64_t number = 0;
};
// "container.cpu", "domain.hits"; nothing where there is no such one.
[[nodiscard]] inline std::optional<Metric> find_metric(std::string_view name) {
  const auto find = [&](const auto& names,
                        bool of_domain) -> std::optional<Metric> {
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (names[i] == name) {
        return Metric{of_domain, static_cast<std::int64_t>(i)};
      }
    }
    return std::nullopt;
  };
  constexpr std::string_view kContainer = "container.";
  constexpr std::string_view kDomain = "domain.";
  if (name.starts_with(kContainer)) {
    name.remove_prefix(kContainer.size());
    return find(kContainerMetrics, false);
  }
  if (name.starts_with(kDomain)) {
    name.remove_prefix(kDomain.size());
    return find(kDomainMetrics, true);
  }
  return std::nullopt;
}

inline constexpr std::int64_t kDaySeconds = 86'400;
// Days are UTC's.
[[nodiscard]] inline std::int64_t start_of_day(std::int64_t unix) {
  return unix - unix % kDaySeconds;
}

}  // namespace fealty::api
