#include "subscription/materials.h"

#include <algorithm>
#include <utility>

namespace fealty::subscription {

Materials::Outcome Materials::on_announcement(std::string_view key,
                                              const SniSource& announced) {
  if (!deliver_ || !announced.any()) return Outcome::kNothing;
  const std::int64_t now_ms = clock_.monotonic_ms();
  const Hash128 state = hash_.of(announced.state());
  Source& source = source_of(key, hash_.of(announced.name()));
  source.heard_ms = now_ms;
  const bool again =
      !source.problem.empty() && now_ms - source.read_ms >= kRetry_ms;
  if (source.state == state && source.settled && !again) {
    return Outcome::kUnchanged;
  }
  source.state = state;
  source.settled = announced.settled();
  source.read_ms = now_ms;
  return take(key, source, announced);
}

Materials::Outcome Materials::take(std::string_view key, Source& source,
                                   const SniSource& announced) {
  ++reads_;
  auto material = announced.read();
  std::optional<std::string> problem;
  if (material) {
    problem = deliver_(key, source.name, *std::move(material));
  } else {
    problem = "a file changed while it was read";
    source.settled = false;
  }
  const std::string before = std::exchange(source.problem,
                                           problem.value_or(""));
  if (!problem) return Outcome::kTaken;
  return before == *problem ? Outcome::kStillRefused : Outcome::kRefused;
}

void Materials::read_again() {
  for (auto& [key, sources] : keys_) {
    for (Source& source : sources) source.settled = false;
  }
}

Materials::Source& Materials::source_of(std::string_view key,
                                        const Hash128& name) {
  auto at = keys_.find(key);
  if (at == keys_.end()) at = keys_.emplace(key, std::vector<Source>{}).first;
  std::vector<Source>& sources = at->second;
  const auto known =
      std::find_if(sources.begin(), sources.end(),
                   [&](const Source& source) { return source.name == name; });
  if (known != sources.end()) return *known;
  Source fresh;
  fresh.name = name;
  if (sources.size() < kSourcesMost) {
    return sources.emplace_back(std::move(fresh));
  }
  const auto oldest = std::min_element(
      sources.begin(), sources.end(), [](const Source& a, const Source& b) {
        return a.heard_ms < b.heard_ms;
      });
  *oldest = std::move(fresh);
  return *oldest;
}

void Materials::on_pool_gone(std::string_view key) {
  const auto at = keys_.find(key);
  if (at != keys_.end()) keys_.erase(at);
}

std::string Materials::problem(std::string_view key) const {
  const auto at = keys_.find(key);
  if (at == keys_.end()) return {};
  for (const Source& source : at->second) {
    if (!source.problem.empty()) return source.problem;
  }
  return {};
}

std::size_t Materials::problem_count() const {
  return static_cast<std::size_t>(
      std::count_if(keys_.begin(), keys_.end(), [](const auto& entry) {
        return std::any_of(
            entry.second.begin(), entry.second.end(),
            [](const Source& source) { return !source.problem.empty(); });
      }));
}

}  // namespace fealty::subscription
