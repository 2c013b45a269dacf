#include "subscription/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "support.h"

namespace fealty::subscription {
namespace {

using test::announce;
using test::FakeClock;
using testing::ElementsAre;

constexpr std::int64_t kTolerance_ms = 30'000;

std::vector<std::string> names(const Snapshot& snapshot,
                               std::string_view key) {
  std::vector<std::string> found;
  const auto* pool = snapshot.find_exact(key);
  if (pool == nullptr) return found;
  for (const Node& node : (*pool)->nodes) found.push_back(node.name);
  return found;
}

class TableTest : public testing::Test {
 protected:
  Change apply(const Announcement& announcement) {
    const auto change = table_.apply(announcement, {});
    EXPECT_TRUE(change);
    return change ? *change : Change::kNone;
  }
  Change add(std::string_view key, std::string_view address) {
    return apply(announce(key, address));
  }
  Change remove(std::string_view key, std::string_view address) {
    return apply(announce(key, address, false));
  }
  std::vector<std::string> routed(std::string_view key) {
    return names(*table_.build(), key);
  }
  const Node& node(std::string_view key, std::size_t at = 0) {
    return (*table_.build()->find_exact(key))->nodes.at(at);
  }

  FakeClock clock_;
  Table table_{clock_, kTolerance_ms, true};
};

TEST_F(TableTest, NewNodeIsRoutedTo) {
  EXPECT_EQ(add("a.example.com", "/run/1"), Change::kAdded);
  EXPECT_TRUE(table_.dirty());
  EXPECT_THAT(routed("a.example.com"), ElementsAre("/run/1"));
  EXPECT_FALSE(table_.dirty());
  EXPECT_EQ(table_.node_count(), 1U);
  EXPECT_EQ(table_.pool_count(), 1U);
}

TEST_F(TableTest, NodesStandInTheOrderInWhichTheyCame) {
  add("k", "/run/2");
  add("k", "/run/1");
  add("k", "/run/3");
  add("k", "/run/1");
  EXPECT_THAT(routed("k"), ElementsAre("/run/2", "/run/1", "/run/3"));
}

TEST_F(TableTest, RefreshPublishesNothing) {
  add("k", "/run/1");
  const auto before = table_.build();
  EXPECT_EQ(add("k", "/run/1"), Change::kRefreshed);
  EXPECT_FALSE(table_.dirty());
  EXPECT_EQ(table_.build(), before);
}

TEST_F(TableTest, RefreshTakesWhatOnlyStatsShow) {
  add("k", "/run/1");
  auto again = announce("k", "/run/1");
  again.cores = 9;
  again.load = 8;
  again.backup = 7;
  EXPECT_EQ(apply(again), Change::kRefreshed);
  table_.for_each_pool([](const Table::PoolView& pool) {
    ASSERT_EQ(pool.nodes.size(), 1U);
    EXPECT_EQ(pool.nodes[0]->cores, 9U);
    EXPECT_EQ(pool.nodes[0]->load, 8U);
    EXPECT_EQ(pool.nodes[0]->backup, 7U);
  });
}

TEST_F(TableTest, ChangedWeightOrModifierIsPublished) {
  add("k", "/run/1");
  auto changed = announce("k", "/run/1");
  changed.weight = 5;
  EXPECT_EQ(apply(changed), Change::kChanged);
  EXPECT_EQ(node("k").weight, 5U);
  changed.modifier1 = 9;
  EXPECT_EQ(apply(changed), Change::kChanged);
  EXPECT_EQ(node("k").modifier1, 9);
  changed.modifier2 = 2;
  EXPECT_EQ(apply(changed), Change::kChanged);
  EXPECT_EQ(node("k").modifier2, 2);
  EXPECT_EQ(apply(changed), Change::kRefreshed);
}

TEST_F(TableTest, SameAddressWrittenOtherwiseIsTheSameNode) {
  EXPECT_EQ(add("k", "/run/1"), Change::kAdded);
  EXPECT_EQ(add("k", "unix:/run/1"), Change::kRefreshed);
  EXPECT_EQ(add("k", "[::1]:80"), Change::kAdded);
  EXPECT_EQ(add("k", "[0:0:0:0::1]:80"), Change::kRefreshed);
  EXPECT_EQ(remove("k", "[0::1]:80"), Change::kRemoved);
}

TEST_F(TableTest, SameAddressUnderTwoKeysIsTwoNodes) {
  add("one", "/run/1");
  EXPECT_EQ(add("two", "/run/1"), Change::kAdded);
  EXPECT_NE(node("one").runtime, node("two").runtime);
  EXPECT_EQ(remove("one", "/run/1"), Change::kRemoved);
  EXPECT_TRUE(routed("one").empty());
  EXPECT_THAT(routed("two"), ElementsAre("/run/1"));
}

TEST_F(TableTest, UnsubscribedNodeIsNotPicked) {
  add("k", "/run/1");
  add("k", "/run/2");
  EXPECT_EQ(remove("k", "/run/1"), Change::kRemoved);
  EXPECT_THAT(routed("k"), ElementsAre("/run/2"));
}

TEST_F(TableTest, UnsubscribeOfNobodyDoesNothing) {
  EXPECT_EQ(remove("k", "/run/1"), Change::kNone);
  add("k", "/run/1");
  (void)table_.build();
  EXPECT_EQ(remove("k", "/run/2"), Change::kNone);
  EXPECT_FALSE(table_.dirty());
}

TEST_F(TableTest, PoolGoesWithItsLastNode) {
  add("k", "/run/1");
  remove("k", "/run/1");
  EXPECT_EQ(table_.build()->find_exact("k"), nullptr);
  EXPECT_EQ(table_.pool_count(), 0U);
  EXPECT_EQ(table_.node_count(), 0U);
}

TEST_F(TableTest, ExpiredNodeIsNotPicked) {
  add("k", "/run/1");
  clock_.now_ms += 10'000;
  add("k", "/run/2");
  clock_.now_ms += 20'000;
  EXPECT_EQ(table_.expire(), 0U) << "just within the tolerance";
  clock_.now_ms += 1;
  EXPECT_EQ(table_.expire(), 1U);
  EXPECT_THAT(routed("k"), ElementsAre("/run/2"));
}

TEST_F(TableTest, RefreshedNodeDoesNotExpire) {
  add("k", "/run/1");
  add("k", "/run/2");
  clock_.now_ms += 20'000;
  add("k", "/run/1");
  clock_.now_ms += 20'000;
  EXPECT_EQ(table_.expire(), 1U);
  EXPECT_THAT(routed("k"), ElementsAre("/run/1"));
}

TEST_F(TableTest, ExpiryTellsWhomItDrops) {
  add("k", "/run/1");
  add("l", "/run/2");
  clock_.now_ms += kTolerance_ms + 1;
  std::vector<std::string> dropped;
  table_.expire([&](const std::string& key, const NodeRecord& record) {
    dropped.push_back(key + " " + record.node.name);
  });
  EXPECT_THAT(dropped, ElementsAre("k /run/1", "l /run/2"));
}

TEST_F(TableTest, AnnouncementEndsTheRest) {
  add("k", "/run/1");
  NodeRuntime& runtime = *node("k").runtime;
  runtime.on_connect_failure(clock_.now_ms);
  EXPECT_TRUE(runtime.resting(clock_.now_ms));
  add("k", "/run/1");
  EXPECT_FALSE(runtime.resting(clock_.now_ms));
}

TEST_F(TableTest, RuntimesOutliveVersions) {
  add("k", "/run/1");
  const auto first = table_.build();
  add("k", "/run/2");
  const auto second = table_.build();
  const Pool& before = **first->find_exact("k");
  const Pool& after = **second->find_exact("k");
  EXPECT_EQ(before.runtime, after.runtime);
  EXPECT_EQ(before.nodes[0].runtime, after.nodes[0].runtime);
}

TEST_F(TableTest, OldSnapshotStaysAsItWas) {
  add("k", "/run/1");
  const auto old = table_.build();
  remove("k", "/run/1");
  add("l", "/run/1");
  const auto fresh = table_.build();
  EXPECT_THAT(names(*old, "k"), ElementsAre("/run/1"));
  EXPECT_TRUE(names(*old, "l").empty());
  EXPECT_TRUE(names(*fresh, "k").empty());
  EXPECT_GT(fresh->version(), old->version());
}

TEST_F(TableTest, ChangeRebuildsOneShardAndOnePool) {
  for (int i = 0; i < 3'000; ++i) {
    add("d" + std::to_string(i) + ".example.com", "/run/1");
  }
  const auto before = table_.build();
  add("d7.example.com", "/run/2");
  const auto after = table_.build();
  std::size_t rebuilt = 0;
  for (std::size_t i = 0; i < Snapshot::kShards; ++i) {
    if (before->shards()[i] != after->shards()[i]) ++rebuilt;
  }
  EXPECT_EQ(rebuilt, 1U);
  std::size_t pools_made = 0;
  for (int i = 0; i < 3'000; ++i) {
    const std::string key = "d" + std::to_string(i) + ".example.com";
    if (*before->find_exact(key) != *after->find_exact(key)) ++pools_made;
  }
  EXPECT_EQ(pools_made, 1U);
}

TEST_F(TableTest, SenderAndTimesAreRecorded) {
  ASSERT_TRUE(table_.apply(announce("k", "/run/1"), Credentials{11, 22, 33}));
  table_.for_each_pool([&](const Table::PoolView& pool) {
    EXPECT_EQ(pool.key, "k");
    EXPECT_EQ(pool.hash, hash_key("k"));
    const NodeRecord& record = *pool.nodes.at(0);
    EXPECT_EQ(record.last_seen_ms, clock_.now_ms);
    EXPECT_EQ(record.last_seen_unix_s, clock_.now_unix_s);
    ASSERT_TRUE(record.sender);
    EXPECT_EQ(record.sender->pid, 11);
    EXPECT_EQ(record.sender->uid, 22U);
    EXPECT_EQ(record.sender->gid, 33U);
  });
}

TEST_F(TableTest, FullTableTakesNoNewNodesButRefreshesTheKnown) {
  Table small(clock_, kTolerance_ms, true, 2);
  ASSERT_TRUE(small.apply(announce("a", "/run/1"), {}));
  ASSERT_TRUE(small.apply(announce("b", "/run/1"), {}));
  const auto third = small.apply(announce("c", "/run/1"), {});
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error(), Rejection::kTableFull);
  EXPECT_EQ(small.pool_count(), 2U);
  EXPECT_EQ(*small.apply(announce("a", "/run/1"), {}), Change::kRefreshed);
  EXPECT_EQ(*small.apply(announce("b", "/run/1", false), {}), Change::kRemoved);
  EXPECT_EQ(*small.apply(announce("c", "/run/1"), {}), Change::kAdded);
}

TEST_F(TableTest, PoolTakesNoMoreNodesThanItMay) {
  for (std::size_t i = 0; i < kPoolNodesMax; ++i) {
    ASSERT_EQ(add("k", "@" + std::to_string(i)), Change::kAdded);
  }
  const auto more = table_.apply(announce("k", "@more"), {});
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error(), Rejection::kTableFull);
  EXPECT_EQ(routed("k").size(), kPoolNodesMax);
}

// The table as it would be without any thought of speed.
class Model {
 public:
  Change apply(const Announcement& announcement, std::int64_t now_ms) {
    auto& nodes = pools_[announcement.key];
    const auto known =
        std::find_if(nodes.begin(), nodes.end(), [&](const Known& node) {
          return node.name == announcement.address_text;
        });
    if (!announcement.subscribe) {
      if (known == nodes.end()) return Change::kNone;
      nodes.erase(known);
      return Change::kRemoved;
    }
    if (known == nodes.end()) {
      nodes.push_back({announcement.address_text, announcement.weight, now_ms});
      return Change::kAdded;
    }
    known->seen_ms = now_ms;
    if (known->weight == announcement.weight) return Change::kRefreshed;
    known->weight = announcement.weight;
    return Change::kChanged;
  }
  std::size_t expire(std::int64_t now_ms) {
    std::size_t dropped = 0;
    for (auto& [key, nodes] : pools_) {
      dropped += std::erase_if(nodes, [&](const Known& node) {
        return now_ms - node.seen_ms > kTolerance_ms;
      });
    }
    return dropped;
  }
  [[nodiscard]] std::string text() const {
    std::string out;
    for (const auto& [key, nodes] : pools_) {
      for (const Known& node : nodes) {
        out += key + " " + node.name + " " + std::to_string(node.weight) + "\n";
      }
    }
    return out;
  }
  [[nodiscard]] const auto& pools() const { return pools_; }

 private:
  struct Known {
    std::string name;
    std::uint32_t weight;
    std::int64_t seen_ms;
  };
  std::map<std::string, std::vector<Known>> pools_;
};

std::string text_of(const Snapshot& snapshot, const Model& model) {
  std::string out;
  std::size_t pools = 0;
  for (const auto& [key, nodes] : model.pools()) {
    const auto* pool = snapshot.find_exact(key);
    if (pool == nullptr) continue;
    ++pools;
    for (const Node& node : (*pool)->nodes) {
      out += key + " " + node.name + " " + std::to_string(node.weight) + "\n";
    }
  }
  std::size_t held = 0;
  for (const auto& shard : snapshot.shards()) {
    if (shard != nullptr) held += shard->size();
  }
  EXPECT_EQ(held, pools) << "the snapshot holds keys that nobody announced";
  return out;
}

TEST_F(TableTest, RandomStepsMatchTheModel) {
  const unsigned seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto below = [&](unsigned most) { return random() % most; };
  Model model;
  for (int step = 0; step < 20'000; ++step) {
    clock_.now_ms += static_cast<std::int64_t>(below(200));
    auto announcement =
        announce("k" + std::to_string(below(30)) + ".example.com",
                 "/run/" + std::to_string(below(6)), below(5) != 0);
    announcement.weight = static_cast<std::uint32_t>(1 + below(2));
    ASSERT_EQ(apply(announcement), model.apply(announcement, clock_.now_ms));
    if (below(50) == 0) {
      clock_.now_ms += static_cast<std::int64_t>(below(20'000));
      ASSERT_EQ(table_.expire(), model.expire(clock_.now_ms));
    }
    if (below(20) == 0) {
      ASSERT_EQ(text_of(*table_.build(), model), model.text()) << step;
    }
  }
  clock_.now_ms += kTolerance_ms + 1;
  table_.expire();
  EXPECT_EQ(table_.node_count(), 0U);
  EXPECT_EQ(table_.pool_count(), 0U);
}

}  // namespace
}  // namespace fealty::subscription
