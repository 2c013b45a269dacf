#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "subscription/announcement.h"
#include "subscription/hash.h"

namespace fealty::subscription {

// Counts refused packets by reason, and for the sources with the most of them
// by source too. Control thread only.
//
// Which sources those are is kept by the space-saving rule (Metwally, Agrawal,
// El Abbadi: Efficient computation of frequent and top-k elements in data
// streams, 2005): a newcomer takes the place of the one with the least weight
// and begins with that weight, so that whoever sends more than a
// kSourcesMost-th of all is in the list for certain. The weights only rank: the
// counts are exact, those of a source since it came into the list; what left the
// list is in others(). For each reason all counts add up to its total().
class Refusals {
 public:
  static constexpr std::size_t kSourcesMost = 64;
  using Counts =
      std::array<std::uint64_t, static_cast<std::size_t>(Rejection::kCount)>;
  struct Source {
    Hash128 id;
    std::string name;
    std::uint64_t weight = 0;
    Counts counts{};
  };

  // `name()` is asked for only if the source is new to the list. Some 60 ns.
  template <typename Name>
  void add(Rejection reason, const Hash128& source, const Name& name) {
    const auto index = static_cast<std::size_t>(reason);
    ++total_[index];
    Source* known = find(source);
    if (known == nullptr) {
      known = &admit();
      known->id = source;
      known->name = name();
    }
    ++known->weight;
    ++known->counts[index];
  }

  [[nodiscard]] const Counts& total() const { return total_; }
  [[nodiscard]] const Counts& others() const { return others_; }
  // In no particular order.
  [[nodiscard]] const std::vector<Source>& sources() const { return sources_; }

 private:
  [[nodiscard]] Source* find(const Hash128& id);
  // A place for a new source, with the weight that it begins with.
  [[nodiscard]] Source& admit();

  std::vector<Source> sources_;
  Counts total_{};
  Counts others_{};
};

}  // namespace fealty::subscription
