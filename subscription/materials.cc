#include "subscription/materials.h"

#include <algorithm>
#include <utility>

namespace fealty::subscription {

std::uint32_t Materials::tag_of(const Hash128& name) {
  return static_cast<std::uint32_t>(Hash128::Hasher{}(name)) | 1U;
}

std::uint32_t Materials::tag_of(const SniSource& announced) const {
  if (!hooks_.deliver || !announced.any()) return 0;
  return tag_of(hash_.of(announced.name()));
}

bool Materials::is_refused(std::string_view key,
                           const SniSource& announced) const {
  const auto at = keys_.find(key);
  if (at == keys_.end() || !announced.any()) return false;
  const Hash128 name = hash_.of(announced.name());
  const auto& sources = at->second.sources;
  return std::any_of(sources.begin(), sources.end(), [&](const Source& each) {
    return each.name == name && !each.problem.empty();
  });
}

Materials::Outcome Materials::on_announcement(std::string_view key,
                                              const SniSource& announced,
                                              std::string_view objection) {
  if (!hooks_.deliver || !announced.any()) return Outcome::kNothing;
  const std::int64_t now_ms = clock_.monotonic_ms();
  const Hash128 state = hash_.of(announced.state().append(objection));
  Source* const source = source_of(key, hash_.of(announced.name()));
  if (source == nullptr) {
    return std::exchange(keys_.find(key)->second.crowded, true)
               ? Outcome::kStillRefused
               : Outcome::kRefused;
  }
  source->heard_ms = now_ms;
  const bool again =
      !source->problem.empty() && now_ms - source->read_ms >= kRetry_ms;
  const bool same = source->state == state && source->settled && !again;
  // A node has come back to what it named before: that is the last word now.
  if (same && source->named) return Outcome::kUnchanged;
  source->named = true;
  source->state = state;
  source->settled = announced.settled();
  source->demands = announced.client_required();
  source->read_ms = now_ms;
  const Outcome outcome = take(key, *source, announced, objection);
  return same && outcome == Outcome::kTaken ? Outcome::kTakenAgain : outcome;
}

Materials::Outcome Materials::take(std::string_view key, Source& source,
                                   const SniSource& announced,
                                   std::string_view objection) {
  std::optional<std::string> problem(objection);
  if (objection.empty()) problem = announced.problem();
  if (problem->empty()) {
    ++reads_;
    auto material = announced.read();
    if (material) {
      problem = hooks_.deliver(key, source.name, *std::move(material));
    } else {
      problem = "a file changed while it was read";
      source.settled = false;
    }
  }
  const std::string before = std::exchange(source.problem,
                                           problem.value_or(""));
  if (!problem) return Outcome::kTaken;
  return before == *problem ? Outcome::kStillRefused : Outcome::kRefused;
}

void Materials::read_again() {
  for (auto& [name, key] : keys_) {
    for (Source& source : key.sources) source.settled = false;
  }
}

// Null where there is no room for another one.
Materials::Source* Materials::source_of(std::string_view key,
                                        const Hash128& name) {
  auto at = keys_.find(key);
  if (at == keys_.end()) at = keys_.emplace(key, Key{}).first;
  std::vector<Source>& sources = at->second.sources;
  const auto known =
      std::find_if(sources.begin(), sources.end(),
                   [&](const Source& source) { return source.name == name; });
  if (known != sources.end()) return &*known;
  if (sources.size() == kSourcesMost && !make_room(key, sources)) {
    return nullptr;
  }
  sources.emplace_back().name = name;
  return &sources.back();
}

// Of what nobody names any more, the longest unheard gives way.
bool Materials::make_room(std::string_view key, std::vector<Source>& sources) {
  const auto last =
      std::min_element(sources.begin(), sources.end(),
                       [](const Source& a, const Source& b) {
                         return a.named != b.named ? b.named
                                                   : a.heard_ms < b.heard_ms;
                       });
  if (last->named) return false;
  if (hooks_.retire) hooks_.retire(key, last->name);
  sources.erase(last);
  return true;
}

ClientRule Materials::keep_only(std::string_view key,
                                std::span<const std::uint32_t> tags,
                                std::int64_t linger_ms) {
  const auto at = keys_.find(key);
  if (at == keys_.end()) return ClientRule::kNone;
  const std::int64_t now_ms = clock_.monotonic_ms();
  bool demanded = false;
  bool guarded = false;
  bool lingers = false;
  std::erase_if(at->second.sources, [&](Source& source) {
    source.named = std::find(tags.begin(), tags.end(),
                             tag_of(source.name)) != tags.end();
    if (!source.named && now_ms - source.heard_ms >= linger_ms) {
      if (hooks_.retire) hooks_.retire(key, source.name);
      return true;
    }
    lingers = lingers || !source.named;
    demanded = demanded || source.demands;
    guarded = guarded || (source.demands && hooks_.guards &&
                          hooks_.guards(key, source.name));
    return false;
  });
  if (lingers && !std::exchange(at->second.lingers, true)) {
    due_.push_back({std::string(key), now_ms + linger_ms});
  }
  if (at->second.sources.size() < kSourcesMost) at->second.crowded = false;
  if (at->second.sources.empty()) keys_.erase(at);
  if (!demanded) return ClientRule::kNone;
  return guarded ? ClientRule::kDemands : ClientRule::kUnusable;
}

void Materials::on_pool_gone(std::string_view key) {
  const auto at = keys_.find(key);
  if (at != keys_.end()) keys_.erase(at);
}

std::string Materials::problem_of(const Key& key) {
  for (const Source& source : key.sources) {
    if (!source.problem.empty()) return source.problem;
  }
  return key.crowded ? "its nodes name more than 64 different certificates"
                     : "";
}

std::string Materials::problem(std::string_view key) const {
  const auto at = keys_.find(key);
  return at == keys_.end() ? "" : problem_of(at->second);
}

std::size_t Materials::problem_count() const {
  return static_cast<std::size_t>(
      std::count_if(keys_.begin(), keys_.end(), [](const auto& entry) {
        return !problem_of(entry.second).empty();
      }));
}

}  // namespace fealty::subscription
