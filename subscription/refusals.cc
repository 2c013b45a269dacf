#include "subscription/refusals.h"

#include <algorithm>

namespace fealty::subscription {

Refusals::Source* Refusals::find(const Hash128& id) {
  const auto at =
      std::find_if(sources_.begin(), sources_.end(),
                   [&](const Source& source) { return source.id == id; });
  return at == sources_.end() ? nullptr : &*at;
}

Refusals::Source& Refusals::admit() {
  if (sources_.size() < kSourcesMost) return sources_.emplace_back();
  const auto least = std::min_element(
      sources_.begin(), sources_.end(), [](const Source& a, const Source& b) {
        return a.weight < b.weight;
      });
  for (std::size_t i = 0; i < others_.size(); ++i) {
    others_[i] += least->counts[i];
  }
  least->counts = {};
  return *least;
}

}  // namespace fealty::subscription
