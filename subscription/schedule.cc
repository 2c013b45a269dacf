#include "subscription/schedule.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "base/check.h"

namespace fealty::subscription {
namespace {

// The weights over their common divisor.
std::vector<std::uint64_t> reduced(std::span<const std::uint32_t> weights) {
  std::uint64_t divisor = 0;
  for (const std::uint32_t weight : weights) {
    FEALTY_CHECK(weight > 0);
    divisor = std::gcd(divisor, std::uint64_t{weight});
  }
  std::vector<std::uint64_t> result(weights.begin(), weights.end());
  for (std::uint64_t& weight : result) weight /= divisor;
  return result;
}

// Fits the round into `length` turns. Whoever would get less than one turn
// gets one; the others share what is left in proportion, which may push more
// of them below one turn: again, until nobody is.
void scale_down(std::vector<std::uint64_t>& weights, std::uint64_t length) {
  std::vector<bool> single(weights.size());
  std::uint64_t left = length;
  std::uint64_t total = 0;
  for (bool changed = true; changed;) {
    changed = false;
    total = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (!single[i]) total += weights[i];
    }
    const std::uint64_t budget = left;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (single[i] || weights[i] * budget >= total) continue;
      single[i] = true;
      changed = true;
      left -= std::min<std::uint64_t>(left, 1);
    }
  }
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i] = single[i] ? 1 : weights[i] * left / total;
  }
}

// The nodes of one weight. Smooth weighted round robin takes them in turn, so
// that one look at the class replaces one at each of them.
struct WeightClass {
  std::int64_t weight = 0;
  std::vector<std::uint16_t> nodes;
  std::size_t next = 0;
  std::int64_t rounds = 0;        // how often `nodes` was gone through

  // How far the next node's share is ahead of what it was given.
  [[nodiscard]] std::int64_t credit(std::int64_t turn,
                                    std::int64_t total) const {
    return weight * turn - rounds * total;
  }
  std::uint16_t take() {
    const std::uint16_t node = nodes[next];
    if (++next == nodes.size()) {
      next = 0;
      ++rounds;
    }
    return node;
  }
};

std::vector<WeightClass> classes_of(const std::vector<std::uint64_t>& weights) {
  std::map<std::uint64_t, WeightClass> by_weight;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    WeightClass& its = by_weight[weights[i]];
    its.weight = static_cast<std::int64_t>(weights[i]);
    its.nodes.push_back(static_cast<std::uint16_t>(i));
  }
  std::vector<WeightClass> classes;
  classes.reserve(by_weight.size());
  for (auto& [weight, its] : by_weight) classes.push_back(std::move(its));
  return classes;
}

}  // namespace

std::vector<std::uint16_t> make_schedule(
    std::span<const std::uint32_t> announced) {
  FEALTY_CHECK(announced.size() <= kPoolNodesMax);
  std::vector<std::uint64_t> weights = reduced(announced);
  std::uint64_t total = std::accumulate(weights.begin(), weights.end(),
                                        std::uint64_t{0});
  if (total > kScheduleLengthMax) {
    scale_down(weights, kScheduleLengthMax);
    total = std::accumulate(weights.begin(), weights.end(), std::uint64_t{0});
  }
  std::vector<WeightClass> classes = classes_of(weights);
  const auto turns = static_cast<std::int64_t>(total);
  std::vector<std::uint16_t> schedule;
  schedule.reserve(total);
  for (std::int64_t turn = 1; turn <= turns; ++turn) {
    // The greatest credit is served; of equals the node that came first.
    const auto behind = [&](const WeightClass& a, const WeightClass& b) {
      const std::int64_t credit_a = a.credit(turn, turns);
      const std::int64_t credit_b = b.credit(turn, turns);
      return credit_a != credit_b ? credit_a < credit_b
                                  : a.nodes[a.next] > b.nodes[b.next];
    };
    schedule.push_back(
        std::max_element(classes.begin(), classes.end(), behind)->take());
  }
  return schedule;
}

}  // namespace fealty::subscription
