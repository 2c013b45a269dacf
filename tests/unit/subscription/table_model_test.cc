// Random packets, ticks, look-ups and choices against the table as it would be
// without any thought of speed. FEALTY_SEED repeats a run; a million steps in a
// release build.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "subscription/choose.h"
#include "subscription/table.h"
#include "support.h"

namespace fealty::subscription {
namespace {

using test::FakeClock;
using test::kTolerance_ms;

#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
constexpr int kSteps = 1'000'000;
#else
constexpr int kSteps = 60'000;
#endif
constexpr std::int64_t kHold_ms = 2'000;

struct Known {
  std::string address;           // "" for a sleeper that never had one
  std::string vassal;
  std::uint32_t weight = 1;
  std::uint32_t backup = 0;
  bool sleeping = false;
  bool on_demand = false;
  std::int64_t seen_ms = 0;
  std::uint64_t heard = 0;       // the order within a millisecond

  void hear(std::int64_t now_ms) {
    static std::uint64_t heard_so_far = 0;
    seen_ms = now_ms;
    heard = ++heard_so_far;
  }
  [[nodiscard]] std::string name() const {
    return address.empty() ? vassal : address;
  }
};

struct KnownPool {
  Algorithm algorithm = Algorithm::kWrr;
  std::vector<Known> nodes;
  std::int64_t held_until_ms = 0;  // 0: not held
  bool published = false;

  // Those to choose from, as routes stand.
  [[nodiscard]] std::vector<Known> live() const {
    std::vector<Known> found;
    for (const Known& node : nodes) {
      if (!node.sleeping) found.push_back(node);
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const Known& a, const Known& b) {
                       return a.backup < b.backup;
                     });
    return found;
  }
};

class Model {
 public:
  Change apply(const Announcement& packet, std::int64_t now_ms) {
    KnownPool& pool = pools_[packet.key];
    const Change change = apply_to(pool, packet, now_ms);
    settle(packet.key, now_ms);
    return change;
  }

  Table::Expiry expire(std::int64_t now_ms) {
    Table::Expiry expiry;
    for (auto at = pools_.begin(); at != pools_.end();) {
      KnownPool& pool = at->second;
      const bool over = pool.nodes.empty() && pool.held_until_ms != 0 &&
                        pool.held_until_ms <= now_ms;
      at = over ? pools_.erase(at) : std::next(at);
    }
    std::int64_t oldest = now_ms;
    std::int64_t newest = 0;
    std::set<std::string> announcers;
    for (const auto& [key, pool] : pools_) {
      for (const Known& node : pool.nodes) {
        oldest = std::min(oldest, node.seen_ms);
        newest = std::max(newest, node.seen_ms);
        announcers.insert(node.name());
      }
    }
    if (now_ms - oldest <= kTolerance_ms || now_ms < pause_until_ms_) return {};
    if (newest > paused_from_ms_ && now_ms - newest >= kTolerance_ms / 2 &&
        newest - oldest <= kTolerance_ms && announcers.size() >= 8) {
      paused_from_ms_ = now_ms;
      pause_until_ms_ = now_ms + kTolerance_ms;
      expiry.pause_began = true;
      return expiry;
    }
    std::vector<std::string> keys;
    for (const auto& [key, pool] : pools_) keys.push_back(key);
    for (const std::string& key : keys) {
      KnownPool& pool = pools_[key];
      for (std::size_t at = longest_silent(pool);
           at < pool.nodes.size() &&
           now_ms - pool.nodes[at].seen_ms > kTolerance_ms;
           at = longest_silent(pool)) {
        ++expiry.dropped;
        leave(pool, at, false, now_ms);
      }
      settle(key, now_ms);
    }
    return expiry;
  }

  void publish() {
    for (auto& [key, pool] : pools_) pool.published = true;
  }

  [[nodiscard]] const KnownPool* find(const std::string& key) const {
    const auto at = pools_.find(key);
    return at == pools_.end() ? nullptr : &at->second;
  }
  // The key that answers for a host, "" if none does.
  [[nodiscard]] std::string route(std::string host) const {
    if (find(host) != nullptr) return host;
    for (int step = 0; step < 5; ++step) {
      const std::size_t dot = host.find('.', 1);
      if (dot == host.npos) return "";
      host = host.substr(dot);
      if (find(host) != nullptr) return host;
    }
    return "";
  }
  [[nodiscard]] std::size_t node_count() const {
    std::size_t count = 0;
    for (const auto& [key, pool] : pools_) count += pool.nodes.size();
    return count;
  }
  [[nodiscard]] const auto& pools() const { return pools_; }

 private:
  static std::size_t place(const KnownPool& pool, auto is_it) {
    const auto at = std::find_if(pool.nodes.begin(), pool.nodes.end(), is_it);
    return static_cast<std::size_t>(at - pool.nodes.begin());
  }
  static std::size_t longest_silent(const KnownPool& pool) {
    const auto at = std::min_element(
        pool.nodes.begin(), pool.nodes.end(),
        [](const Known& a, const Known& b) { return a.heard < b.heard; });
    return static_cast<std::size_t>(at - pool.nodes.begin());
  }
  static std::size_t sleeper(const KnownPool& pool, const std::string& vassal) {
    return place(pool, [&](const Known& node) {
      return node.sleeping && node.vassal == vassal;
    });
  }
  static std::size_t known(const KnownPool& pool, const Announcement& packet) {
    const std::size_t at = place(pool, [&](const Known& node) {
      return !packet.address_text.empty() &&
             node.address == packet.address_text;
    });
    if (at < pool.nodes.size() || packet.vassal.empty()) return at;
    return sleeper(pool, packet.vassal);
  }
  static void erase(KnownPool& pool, std::size_t at) {
    pool.nodes.erase(pool.nodes.begin() + static_cast<std::ptrdiff_t>(at));
  }

  static void fall_asleep(KnownPool& pool, std::size_t at,
                          std::int64_t now_ms) {
    Known node = pool.nodes[at];
    erase(pool, at);
    if (!node.vassal.empty() &&
        sleeper(pool, node.vassal) < pool.nodes.size()) {
      return;
    }
    node.sleeping = node.on_demand = true;
    node.hear(now_ms);
    pool.nodes.push_back(node);
  }

  static void leave(KnownPool& pool, std::size_t at, bool sleeps,
                    std::int64_t now_ms) {
    const Known& node = pool.nodes[at];
    if (!node.sleeping && !node.vassal.empty() && (sleeps || node.on_demand)) {
      fall_asleep(pool, at, now_ms);
    } else {
      erase(pool, at);
    }
  }

  Change apply_to(KnownPool& pool, const Announcement& packet,
                  std::int64_t now_ms) {
    bool cleared = false;
    if (packet.clear) {
      cleared = std::erase_if(pool.nodes, [](const Known& node) {
                  return node.sleeping;
                }) > 0;
      for (Known& node : pool.nodes) node.on_demand = false;
      // Held, if those were the last.
      settle(packet.key, now_ms);
      if (packet.address_text.empty()) {
        return cleared ? Change::kRemoved : Change::kNone;
      }
    }
    KnownPool& its = pools_[packet.key];
    if (!packet.subscribe) return unsubscribe(its, packet, now_ms);
    const Algorithm algorithm = packet.algorithm.value_or(its.algorithm);
    const bool renamed = std::exchange(its.algorithm, algorithm) != algorithm;
    const Change change = subscribe(its, packet, now_ms);
    if (renamed && (change == Change::kRefreshed || change == Change::kNone)) {
      return Change::kChanged;
    }
    return change;
  }

  static Change unsubscribe(KnownPool& pool, const Announcement& packet,
                            std::int64_t now_ms) {
    std::size_t at = pool.nodes.size();
    if (packet.address_text.empty()) {
      at = sleeper(pool, packet.vassal);
    } else {
      at = place(pool, [&](const Known& node) {
        return node.address == packet.address_text;
      });
    }
    if (at == pool.nodes.size()) return Change::kNone;
    leave(pool, at, packet.inactive, now_ms);
    return Change::kRemoved;
  }

  static Change subscribe(KnownPool& pool, const Announcement& packet,
                          std::int64_t now_ms) {
    const std::size_t at = known(pool, packet);
    const bool there = at < pool.nodes.size();
    Known fresh{packet.address_text, packet.vassal, packet.weight,
                packet.backup};
    fresh.hear(now_ms);
    if (packet.inactive || packet.address_text.empty()) {
      if (there && pool.nodes[at].sleeping) {
        pool.nodes[at].hear(now_ms);
        return Change::kRefreshed;
      }
      if (there) {
        fall_asleep(pool, at, now_ms);
        return Change::kChanged;
      }
      for (Known& node : pool.nodes) {
        if (packet.vassal.empty() || node.vassal != packet.vassal) continue;
        node.on_demand = true;
        return Change::kNone;
      }
      fresh.sleeping = fresh.on_demand = true;
      pool.nodes.push_back(fresh);
      return Change::kAdded;
    }
    bool replaced = false;
    if (there) {
      Known& node = pool.nodes[at];
      if (!node.sleeping && node.vassal == packet.vassal) {
        node.hear(now_ms);
        const bool same =
            node.weight == packet.weight && node.backup == packet.backup;
        node.weight = packet.weight;
        node.backup = packet.backup;
        return same ? Change::kRefreshed : Change::kChanged;
      }
      replaced = !node.sleeping;
      fresh.on_demand = node.on_demand;
      erase(pool, at);
    }
    if (!fresh.vassal.empty()) {
      const std::size_t asleep = sleeper(pool, fresh.vassal);
      if (asleep < pool.nodes.size()) {
        fresh.on_demand = true;
        erase(pool, asleep);
      }
    }
    pool.nodes.push_back(fresh);
    return replaced ? Change::kChanged : Change::kAdded;
  }

  // A pool without nodes is held, once it was seen.
  void settle(const std::string& key, std::int64_t now_ms) {
    KnownPool& pool = pools_[key];
    if (!pool.nodes.empty()) {
      pool.held_until_ms = 0;
    } else if (!pool.published) {
      pools_.erase(key);
    } else if (pool.held_until_ms == 0) {
      pool.held_until_ms = now_ms + kHold_ms;
    }
  }

  std::map<std::string, KnownPool> pools_;
  std::int64_t paused_from_ms_ = -1;
  std::int64_t pause_until_ms_ = -1;
};

// Smooth weighted round robin as it is usually told.
std::size_t smooth(std::vector<std::uint32_t> weights, std::uint64_t turn) {
  std::uint32_t divisor = 0;
  for (const auto weight : weights) divisor = std::gcd(divisor, weight);
  std::int64_t total = 0;
  for (auto& weight : weights) total += weight /= divisor;
  std::vector<std::int64_t> credit(weights.size());
  std::size_t best = 0;
  for (std::uint64_t i = 0; i <= turn % static_cast<std::uint64_t>(total);
       ++i) {
    for (std::size_t n = 0; n < weights.size(); ++n) credit[n] += weights[n];
    best = static_cast<std::size_t>(
        std::max_element(credit.begin(), credit.end()) - credit.begin());
    credit[best] -= total;
  }
  return best;
}

class TableModel : public testing::Test {
 protected:
  TableModel() {
    const char* const given = std::getenv("FEALTY_SEED");
    seed_ = given != nullptr
                ? static_cast<unsigned>(std::strtoul(given, nullptr, 10))
                : std::random_device{}();
    std::printf("FEALTY_SEED=%u\n", seed_);
    random_.seed(seed_);
    for (const char* const host :
         {"a.com", "b.com", "w.a.com", "x.w.a.com", ".a.com", ".com",
          ".w.a.com", "c.org", "d.c.org", "e.d.c.org"}) {
      keys_.emplace_back(host);
    }
    for (int i = 0; i < 12; ++i) {
      addresses_.push_back("/run/" + std::to_string(i));
    }
    Options options;
    options.tolerance_ms = kTolerance_ms;
    options.hold_ms = kHold_ms;
    table_ = std::make_unique<Table>(clock_, options);
  }

  std::size_t below(std::size_t most) { return random_() % most; }
  const std::string& any_of(const std::vector<std::string>& texts) {
    return texts[below(texts.size())];
  }

  Announcement packet() {
    Announcement made;
    made.key = any_of(keys_);
    made.subscribe = below(5) != 0;
    if (below(4) == 0) made.vassal = below(2) == 0 ? "v" : "w";
    if (made.vassal.empty() || below(2) == 0) {
      made.address_text = any_of(addresses_);
      made.address = *Address::parse(made.address_text);
    }
    made.inactive = !made.vassal.empty() && below(6) == 0;
    made.clear = below(40) == 0;
    if (below(30) == 0) {
      made.algorithm = static_cast<Algorithm>(below(5));
    }
    made.weight = static_cast<std::uint32_t>(1 + below(3));
    made.backup = static_cast<std::uint32_t>(below(8) == 0 ? 5 : 0);
    return made;
  }

  void step() {
    clock_.now_ms += static_cast<std::int64_t>(below(150));
    const Announcement announcement = packet();
    const auto change = table_->apply(announcement, {});
    ASSERT_TRUE(change);
    ASSERT_EQ(*change, model_.apply(announcement, clock_.now_ms))
        << (announcement.subscribe ? "" : "un") << "subscribe "
        << announcement.key << ' ' << announcement.address_text << ' '
        << announcement.vassal << (announcement.inactive ? " inactive" : "")
        << (announcement.clear ? " clear" : "") << " at " << clock_.now_ms;
    if (below(20) == 0) tick();
    publish();
    look_at(announcement.key);
    ask(any_of(keys_));
    if (below(500) == 0) compare_all();
  }

  void tick() {
    if (below(20) == 0) {
      clock_.now_ms += static_cast<std::int64_t>(below(70'000));
    }
    const auto expiry = table_->expire();
    const auto expected = model_.expire(clock_.now_ms);
    ASSERT_EQ(expiry.dropped, expected.dropped);
    ASSERT_EQ(expiry.pause_began, expected.pause_began);
    pauses_ += expected.pause_began ? 1 : 0;
  }

  void publish() {
    snapshot_ = table_->build();
    model_.publish();
  }

  void look_at(const std::string& key) {
    const Pool* const pool = snapshot_->find_exact(key);
    const KnownPool* const known = model_.find(key);
    ASSERT_EQ(pool != nullptr, known != nullptr) << key;
    if (pool == nullptr) return;
    ASSERT_EQ(pool->algorithm(), known->algorithm);
    const std::vector<Known> live = known->live();
    ASSERT_EQ(pool->nodes().size(), live.size());
    ASSERT_EQ(pool->sleeping().size(), known->nodes.size() - live.size());
    for (std::size_t i = 0; i < live.size(); ++i) {
      ASSERT_EQ(pool->nodes()[i].name(), live[i].name());
      ASSERT_EQ(pool->nodes()[i].weight, live[i].weight);
      ASSERT_EQ(pool->nodes()[i].runtime->vassal(), live[i].vassal);
    }
    if (live.size() > 1) choose_from(*pool, live);
  }

  // Some rest, some are busy; the choice is among the first level's awake.
  void choose_from(const Pool& pool, const std::vector<Known>& live) {
    std::vector<std::size_t> awake;
    for (std::size_t i = 0; i < live.size(); ++i) {
      NodeRuntime& runtime = *pool.nodes()[i].runtime;
      runtime.in_flight = static_cast<std::uint32_t>(below(4));
      const bool rests = below(4) == 0;
      runtime.rest_until_ms = rests ? clock_.now_ms + 1 : 0;
      if (!rests) awake.push_back(i);
    }
    std::erase_if(awake, [&](std::size_t i) {
      return live[i].backup != live[awake.front()].backup;
    });
    const std::uint64_t turn = pool.runtime()->cursor;
    const Choice choice = {clock_.now_ms, below(10), 0};
    const Node* const node = choose(pool, {}, choice);
    ASSERT_NE(node, nullptr);
    const auto chosen = static_cast<std::size_t>(node - pool.nodes().data());
    if (awake.empty()) {
      ASSERT_EQ(live[chosen].backup, live.front().backup);
    } else {
      ASSERT_NE(std::find(awake.begin(), awake.end(), chosen), awake.end());
      judge(pool, live, awake, chosen, turn, choice);
    }
    for (const Node& other : pool.nodes()) other.runtime->rest_until_ms = 0;
  }

  void judge(const Pool& pool, const std::vector<Known>& live,
             const std::vector<std::size_t>& awake, std::size_t chosen,
             std::uint64_t turn, const Choice& choice) {
    const auto busy = [&](std::size_t i) {
      const double in_flight = pool.nodes()[i].runtime->in_flight;
      return pool.algorithm() == Algorithm::kWlrc ? in_flight / live[i].weight
                                                  : in_flight;
    };
    switch (pool.algorithm()) {
      case Algorithm::kLrc:
      case Algorithm::kWlrc:
        for (const std::size_t i : awake) ASSERT_GE(busy(i), busy(chosen));
        break;
      case Algorithm::kIphash:
        ASSERT_EQ(choose(pool, {}, choice), &pool.nodes()[chosen]);
        break;
      case Algorithm::kWrr:
      case Algorithm::kSticky: {
        std::vector<std::uint32_t> weights;
        for (const Known& node : live) {
          if (node.backup == live.front().backup) {
            weights.push_back(node.weight);
          }
        }
        if (awake.size() == weights.size() && awake.front() == 0) {
          ASSERT_EQ(chosen, smooth(weights, turn));
        }
        break;
      }
    }
  }

  void ask(const std::string& host) {
    const std::string asked =
        host.front() == '.' ? "q" + host : host;
    const Pool* const pool = snapshot_->find(asked, "");
    const std::string expected = model_.route(asked);
    if (pool == nullptr) {
      ASSERT_EQ(expected, "") << asked;
    } else {
      ASSERT_EQ(pool->key(), expected) << asked;
    }
  }

  void compare_all() {
    std::size_t pools = 0;
    for (const auto& [key, pool] : model_.pools()) {
      look_at(key);
      if (!pool.nodes.empty()) ++pools;
    }
    ASSERT_EQ(table_->pool_count(), pools);
    ASSERT_EQ(table_->node_count(), model_.node_count());
  }

  unsigned seed_ = 0;
  std::mt19937 random_;
  std::vector<std::string> keys_;
  std::vector<std::string> addresses_;
  FakeClock clock_;
  std::unique_ptr<Table> table_;
  Model model_;
  std::shared_ptr<const Snapshot> snapshot_;
  int pauses_ = 0;
};

TEST_F(TableModel, RandomStepsMatch) {
  for (int i = 0; i < kSteps; ++i) {
    step();
    if (HasFatalFailure()) FAIL() << "step " << i << ", FEALTY_SEED=" << seed_;
  }
  EXPECT_GT(pauses_, 0) << "the steps never led to a pause";
}

}  // namespace
}  // namespace fealty::subscription
