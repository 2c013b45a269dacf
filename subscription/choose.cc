#include "subscription/choose.h"

#include <algorithm>
#include <cmath>

namespace fealty::subscription {
namespace {

// Shares of a node that is ramped up, in parts of kWhole.
constexpr std::int64_t kWhole = 1024;
constexpr std::int64_t kRampFirst = kWhole / 10;

// How much of its share the node gets by now.
std::int64_t ramp(const PoolRuntime& pool, const Node& node,
                  std::int64_t now_ms) {
  const std::int64_t whole_after_ms = pool.slow_start_ms.load(kRelaxed);
  if (whole_after_ms == 0) return kWhole;
  const std::int64_t since = node.runtime->eligible_since_ms.load(kRelaxed);
  const std::int64_t passed = now_ms - since;
  if (since == 0 || passed >= whole_after_ms) return kWhole;
  return std::max(kRampFirst, passed * kWhole / whole_after_ms);
}

// One request's question to one pool.
class Chooser {
 public:
  Chooser(const Pool& pool, const TriedNodes& tried, const Choice& choice)
      : pool_(pool), tried_(tried), choice_(choice), shared_(*pool.runtime()) {}

  const Node* answer() {
    switch (pool_.algorithm()) {
      case Algorithm::kWrr: break;
      case Algorithm::kLrc: return least_busy(false);
      case Algorithm::kWlrc: return least_busy(true);
      case Algorithm::kIphash: return by_client();
      case Algorithm::kSticky:
        if (const Node* const node = named_by_cookie()) return node;
        break;
    }
    return next_of_round();
  }

 private:
  [[nodiscard]] bool eligible(const Node& node) const {
    return node.runtime->available(choice_.now_ms) && !tried_.contains(&node);
  }

  // The first level with an eligible node, and that node; null: no level.
  const Node* find_level(Pool::Level& level) const {
    for (std::size_t rank = 0; rank < pool_.level_count(); ++rank) {
      level = pool_.level(rank);
      for (const Node& node : level.nodes) {
        if (eligible(node)) return &node;
      }
    }
    return nullptr;
  }

  std::uint64_t take_turn() { return shared_.cursor.fetch_add(1, kRelaxed); }

  [[nodiscard]] const Node& node_at(const Pool::Level& level,
                                    std::uint64_t turn) const {
    return pool_.nodes()[level.turns[turn % level.turns.size()]];
  }

  [[nodiscard]] std::int64_t ramp(const Node& node) const {
    return subscription::ramp(shared_, node, choice_.now_ms);
  }

  // Whether a node keeps this turn of its: as many as its ramp says, evenly
  // spread over them.
  [[nodiscard]] bool keeps_turn(const Node& node, std::uint64_t turn) const {
    const std::int64_t share = ramp(node);
    if (share == kWhole) return true;
    const std::uint64_t spread = (turn * 0x9e3779b97f4a7c15ULL) >> 54;
    return static_cast<std::int64_t>(spread) < share;
  }

  const Node* next_of_round() {
    const std::uint64_t turn = take_turn();
    Pool::Level level = pool_.level(0);
    if (level.turns.empty()) return nullptr;
    const Node& node = node_at(level, turn);
    if (eligible(node) && keeps_turn(node, turn)) return &node;
    return pass_over(turn);
  }

  // The turn's node cannot have it. Where nobody is eligible, exactly this one
  // turn is used up: going through the whole round would end where it began,
  // and every request at the same resting node.
  const Node* pass_over(std::uint64_t turn) {
    Pool::Level level;
    const Node* const any = find_level(level);
    if (any == nullptr) return first_untried(turn);
    // For a backup level the turn that was taken is a turn of its own.
    bool used = &level.nodes.front() == &pool_.nodes().front();
    for (std::size_t i = 0; i < level.turns.size(); ++i) {
      if (used) turn = take_turn();
      used = true;
      const Node& node = node_at(level, turn);
      if (eligible(node) && keeps_turn(node, turn)) return &node;
    }
    // Other threads took the eligible nodes' turns meanwhile, or they are all
    // at the beginning of their ramp.
    return any;
  }

  // Walks the rounds behind `turn` without using up turns.
  [[nodiscard]] const Node* first_untried(std::uint64_t turn) const {
    for (std::size_t rank = 0; rank < pool_.level_count(); ++rank) {
      const Pool::Level level = pool_.level(rank);
      for (std::size_t i = 0; i < level.turns.size(); ++i) {
        const Node& node = node_at(level, turn % level.turns.size() + i);
        if (!tried_.contains(&node)) return &node;
      }
    }
    return nullptr;
  }

  const Node* least_busy(bool weighted) {
    const std::uint64_t turn = take_turn();
    Pool::Level level;
    if (find_level(level) == nullptr) return first_untried(turn);
    const std::size_t count = level.nodes.size();
    const std::size_t first =
        weighted ? static_cast<std::size_t>(&node_at(level, turn) -
                                            level.nodes.data())
                 : turn % count;
    const Node* best = nullptr;
    double least = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = first + i;
      const Node& node = level.nodes[at < count ? at : at - count];
      if (!eligible(node)) continue;
      const double busy = busyness(node, weighted);
      if (best != nullptr && busy >= least) continue;
      best = &node;
      least = busy;
    }
    return best != nullptr ? best : first_untried(turn);
  }

  [[nodiscard]] double busyness(const Node& node, bool weighted) const {
    const double in_flight = node.runtime->in_flight.load(kRelaxed);
    const double divisor = weighted ? node.weight : 1;
    const std::int64_t share = ramp(node);
    if (share == kWhole) return in_flight / divisor;
    // An idle node is as busy as if it had the request that its missing share
    // stands for.
    return (in_flight + 1) * kWhole / static_cast<double>(share) / divisor;
  }

  const Node* by_client() {
    Pool::Level level;
    if (find_level(level) == nullptr) return first_untried(take_turn());
    const Node* best = nullptr;
    double highest = 0;
    for (const Node& node : level.nodes) {
      if (!eligible(node)) continue;
      const double score = rendezvous(node);
      if (best != nullptr && score <= highest) continue;
      best = &node;
      highest = score;
    }
    return best != nullptr ? best : first_untried(take_turn());
  }

  // Of independent scores -w / ln(u), u even in (0, 1), the highest is each
  // node's with a probability in proportion to w (Schindelhauer, Schomaker:
  // Weighted distributed hash tables, 2005).
  [[nodiscard]] double rendezvous(const Node& node) const {
    std::uint64_t mixed = choice_.client_hash ^ sticky_token(node);
    mixed = (mixed ^ (mixed >> 33)) * 0xff51afd7ed558ccdULL;
    mixed = (mixed ^ (mixed >> 33)) * 0xc4ceb9fe1a85ec53ULL;
    mixed ^= mixed >> 33;
    const double even = (static_cast<double>(mixed >> 11) + 0.5) * 0x1p-53;
    return -static_cast<double>(node.weight) *
           static_cast<double>(ramp(node)) / std::log(even);
  }

  [[nodiscard]] const Node* named_by_cookie() const {
    if (choice_.sticky == 0) return nullptr;
    Pool::Level level;
    if (find_level(level) == nullptr) return nullptr;
    for (const Node& node : level.nodes) {
      if (sticky_token(node) == choice_.sticky && eligible(node)) return &node;
    }
    return nullptr;
  }

  const Pool& pool_;
  const TriedNodes& tried_;
  const Choice& choice_;
  PoolRuntime& shared_;
};

}  // namespace

const Node* choose(const Pool& pool, const TriedNodes& tried,
                   const Choice& choice) {
  const std::span<const Node> nodes = pool.nodes();
  if (nodes.size() < 2) {
    if (nodes.empty() || tried.contains(&nodes[0])) return nullptr;
    return &nodes[0];
  }
  return Chooser(pool, tried, choice).answer();
}

std::optional<std::size_t> level_in_use(const Pool& pool,
                                        std::int64_t now_ms) {
  for (const Node& node : pool.nodes()) {  // by rising level
    if (node.runtime->available(now_ms)) return node.level;
  }
  return std::nullopt;
}

int share_percent(const Pool& pool, const Node& node, std::int64_t now_ms) {
  const PoolRuntime* const shared = pool.runtime();
  if (shared == nullptr) return 100;
  return static_cast<int>((ramp(*shared, node, now_ms) * 100 + kWhole / 2) /
                          kWhole);
}

}  // namespace fealty::subscription
