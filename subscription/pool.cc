#include "subscription/pool.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "base/check.h"

namespace fealty::subscription {
namespace {

constexpr std::int64_t kRestFirst_ms = 500;
constexpr std::int64_t kRestMost_ms = 30'000;
constexpr std::uint32_t kDoublingsMost = 6;   // 500 << 6 is over the most

constexpr auto kRelaxed = std::memory_order_relaxed;

std::int64_t rest_ms(std::uint32_t failures_in_a_row) {
  const std::uint32_t doublings =
      std::min(failures_in_a_row - 1, kDoublingsMost);
  return std::min(kRestFirst_ms << doublings, kRestMost_ms);
}

// The nodes' weights over their common divisor.
std::vector<std::uint64_t> reduced_weights(const std::vector<Node>& nodes) {
  std::uint64_t divisor = 0;
  for (const Node& node : nodes) {
    divisor = std::gcd(divisor, std::uint64_t{node.weight});
  }
  std::vector<std::uint64_t> weights;
  weights.reserve(nodes.size());
  for (const Node& node : nodes) {
    FEALTY_CHECK(node.weight > 0);
    weights.push_back(node.weight / divisor);
  }
  return weights;
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

bool eligible(const Node& node, const TriedNodes& tried, std::int64_t now_ms) {
  return !node.runtime->resting(now_ms) && !tried.contains(&node);
}

// The node whose turn it is; the turn is used up.
const Node& next_turn(const Pool& pool) {
  const std::uint64_t turn = pool.runtime->cursor.fetch_add(1, kRelaxed);
  return pool.nodes[pool.schedule[turn % pool.schedule.size()]];
}

// Walks the round behind `first` without using up turns.
const Node* first_untried(const Pool& pool, const TriedNodes& tried,
                          std::uint64_t first) {
  for (std::size_t i = 0; i < pool.schedule.size(); ++i) {
    const std::size_t at = (first + i) % pool.schedule.size();
    const Node& node = pool.nodes[pool.schedule[at]];
    if (!tried.contains(&node)) return &node;
  }
  return nullptr;
}

const Node* first_eligible(const Pool& pool, const TriedNodes& tried,
                           std::int64_t now_ms) {
  for (const Node& node : pool.nodes) {
    if (eligible(node, tried, now_ms)) return &node;
  }
  return nullptr;
}

}  // namespace

void NodeRuntime::on_connect_failure(std::int64_t now_ms) {
  failed.fetch_add(1, kRelaxed);
  std::int64_t until = rest_until_ms.load(kRelaxed);
  if (until != 0 && now_ms < until) return;
  const std::uint32_t in_a_row = failures.load(kRelaxed) + 1;
  // Of several threads that fail at once, one moves the rest and counts.
  if (rest_until_ms.compare_exchange_strong(until, now_ms + rest_ms(in_a_row),
                                            kRelaxed)) {
    failures.store(in_a_row, kRelaxed);
  }
}

std::vector<std::uint16_t> make_schedule(const std::vector<Node>& nodes) {
  FEALTY_CHECK(nodes.size() <= kPoolNodesMax);
  std::vector<std::uint64_t> weights = reduced_weights(nodes);
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

bool speak_several_protocols(const std::vector<Node>& nodes) {
  return std::any_of(nodes.begin(), nodes.end(), [&](const Node& node) {
    return node.protocol != nodes.front().protocol;
  });
}

const Node* choose(const Pool& pool, const TriedNodes& tried,
                   std::int64_t now_ms) {
  if (pool.schedule.empty()) return nullptr;
  const std::uint64_t turn = pool.runtime->cursor.fetch_add(1, kRelaxed);
  const Node& node = pool.nodes[pool.schedule[turn % pool.schedule.size()]];
  if (eligible(node, tried, now_ms)) return &node;

  // Where nobody is eligible, exactly this one turn is used up: going through
  // the whole round would end where it began, and every request at the same
  // resting node.
  const Node* const any = first_eligible(pool, tried, now_ms);
  if (any == nullptr) return first_untried(pool, tried, turn);
  for (std::size_t i = 0; i < pool.schedule.size(); ++i) {
    const Node& next = next_turn(pool);
    if (eligible(next, tried, now_ms)) return &next;
  }
  // Other threads took the eligible nodes' turns meanwhile.
  return any;
}

}  // namespace fealty::subscription
