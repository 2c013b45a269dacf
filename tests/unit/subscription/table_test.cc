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

#include "base/sanitized.h"
#include "support.h"

namespace fealty::subscription {
namespace {

using test::announce;
using test::FakeClock;
using test::kTolerance_ms;
using testing::ElementsAre;

std::vector<std::string> names(const Snapshot& snapshot,
                               std::string_view key) {
  std::vector<std::string> found;
  const auto* pool = snapshot.find_exact(key);
  if (pool == nullptr) return found;
  for (const Node& node : pool->nodes()) found.emplace_back(node.name());
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
    return table_.build()->find_exact(key)->nodes()[at];
  }

  // When no pool is on its way to another home any more.
  std::shared_ptr<const Snapshot> settled() {
    auto snapshot = table_.build();
    while (table_.dirty()) snapshot = table_.build();
    return snapshot;
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
  EXPECT_EQ(apply(again), Change::kRefreshed);
  table_.for_each_pool([](const Table::PoolView& pool) {
    ASSERT_EQ(pool.nodes.size(), 1U);
    EXPECT_EQ(pool.nodes[0]->cores, 9U);
    EXPECT_EQ(pool.nodes[0]->load, 8U);
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

TEST_F(TableTest, ChangedBackupLevelOrProtocolIsPublished) {
  add("k", "/run/1");
  add("k", "/run/2");
  auto changed = announce("k", "/run/1");
  changed.backup = 1;
  EXPECT_EQ(apply(changed), Change::kChanged);
  EXPECT_THAT(routed("k"), ElementsAre("/run/2", "/run/1"));
  changed.protocol = Protocol::kHttp;
  EXPECT_EQ(apply(changed), Change::kChanged);
  const auto snapshot = table_.build();
  const auto nodes = snapshot->find_exact("k")->nodes();
  EXPECT_EQ(nodes[0].protocol, Protocol::kUwsgi);
  EXPECT_EQ(nodes[1].protocol, Protocol::kHttp);
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
  EXPECT_EQ(table_.expire().dropped, 0U) << "just within the tolerance";
  clock_.now_ms += 1;
  EXPECT_EQ(table_.expire().dropped, 1U);
  EXPECT_THAT(routed("k"), ElementsAre("/run/2"));
}

TEST_F(TableTest, RefreshedNodeDoesNotExpire) {
  add("k", "/run/1");
  add("k", "/run/2");
  clock_.now_ms += 20'000;
  add("k", "/run/1");
  clock_.now_ms += 20'000;
  EXPECT_EQ(table_.expire().dropped, 1U);
  EXPECT_THAT(routed("k"), ElementsAre("/run/1"));
}

TEST_F(TableTest, ExpiryTellsWhomItDrops) {
  add("k", "/run/1");
  add("l", "/run/2");
  clock_.now_ms += kTolerance_ms + 1;
  std::vector<std::string> dropped;
  table_.expire([&](std::string_view key, const NodeRecord& record) {
    dropped.push_back(std::string(key) + " " + std::string(record.name()));
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
  add("k", "/run/2");
  const auto first = table_.build();
  add("k", "/run/3");
  const auto second = table_.build();
  const Pool& before = *first->find_exact("k");
  const Pool& after = *second->find_exact("k");
  ASSERT_NE(before.runtime(), nullptr);
  EXPECT_EQ(before.runtime(), after.runtime());
  EXPECT_EQ(before.nodes()[0].runtime, after.nodes()[0].runtime);
}

TEST_F(TableTest, HitsGoOnWhateverBecomesOfTheNodes) {
  const auto request = [&] {
    const Pool& pool = *table_.build()->find_exact("k");
    pool.nodes()[0].runtime->requests.fetch_add(1);
    pool.count_hit();
  };
  const auto hits = [&] {
    std::uint64_t found = 0;
    table_.for_each_pool([&](const auto& pool) { found = pool.hits; });
    return found;
  };
  add("k", "/run/1");
  request();
  EXPECT_EQ(hits(), 1U);
  add("k", "/run/2");
  request();
  EXPECT_EQ(hits(), 2U);
  remove("k", "/run/1");
  request();
  EXPECT_EQ(hits(), 3U);
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
  const auto before = settled();
  add("d7.example.com", "/run/2");
  const auto after = table_.build();
  std::size_t rebuilt = 0;
  for (std::size_t i = 0; i < kShards; ++i) {
    if (before->shard(i) != after->shard(i)) ++rebuilt;
  }
  EXPECT_EQ(rebuilt, 1U);
  std::size_t pools_made = 0;
  for (int i = 0; i < 3'000; ++i) {
    const std::string key = "d" + std::to_string(i) + ".example.com";
    if (before->find_exact(key) != after->find_exact(key)) ++pools_made;
  }
  EXPECT_EQ(pools_made, 1U);
}

// However many there were when their homes grew.
TEST_F(TableTest, PoolsMoveToTheirHomes) {
  const auto key = [](int i) {
    return "d" + std::to_string(i) + ".example.com";
  };
  for (int i = 0; i < 20'000; ++i) {
    add(key(i), "/run/1");
    if (i % 500 == 0) (void)table_.build();
  }
  for (int i = 0; i < 20'000; i += 10) remove(key(i), "/run/1");
  const auto snapshot = settled();
  if (!kAddressSanitized) {
    EXPECT_GT(HomeCells::shared().growths(), 5U);
  }
  EXPECT_EQ(table_.build(), snapshot);
  for (int i = 0; i < 20'000; ++i) {
    const Pool* const pool = snapshot->find_exact(key(i));
    ASSERT_EQ(pool == nullptr, i % 10 == 0) << i;
  }
  std::size_t away = 0;
  for (std::size_t i = 0; i < kShards; ++i) {
    const Shard* const shard = snapshot->shard(i);
    for (std::size_t at = 0; shard != nullptr && at < shard->size(); ++at) {
      if ((*shard)[at]->should_move()) ++away;
    }
  }
  // Those whose cells other pools had.
  EXPECT_LT(away, 20'000U * 3 / 10);
}

TEST_F(TableTest, SenderAndTimesAreRecorded) {
  ASSERT_TRUE(table_.apply(announce("k", "/run/1"), Credentials{11, 22, 33}));
  table_.for_each_pool([&](const Table::PoolView& pool) {
    EXPECT_EQ(pool.key, "k");
    EXPECT_EQ(pool.hash, hash_key("k"));
    const NodeRecord& record = *pool.nodes.at(0);
    EXPECT_EQ(record.last_seen_ms, clock_.now_ms);
    EXPECT_EQ(record.last_seen_unix_s, clock_.now_unix_s);
    ASSERT_TRUE(record.sender());
    EXPECT_EQ(record.sender()->pid, 11);
    EXPECT_EQ(record.sender()->uid, 22U);
    EXPECT_EQ(record.sender()->gid, 33U);
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

// ----------------------------------------------------- another configuration

TEST_F(TableTest, NodeOfTheConfigurationsLeavesWithIt) {
  const Announcement node = announce("k", "/run/1");
  ASSERT_TRUE(table_.apply_permanent(node));
  ASSERT_TRUE(table_.apply_permanent(node));  // as every reload does
  clock_.now_ms += 10 * kTolerance_ms;
  table_.expire();
  EXPECT_EQ(table_.node_count(), 1U);
  table_.drop_permanent("k", node.address);
  EXPECT_EQ(table_.node_count(), 0U);
  EXPECT_TRUE(routed("k").empty());
}

TEST_F(TableTest, NodeOfTheConfigurationsStaysWhileItIsAnnounced) {
  const Announcement node = announce("k", "/run/1");
  ASSERT_TRUE(table_.apply_permanent(node));
  ASSERT_TRUE(table_.apply(node, {}));
  ASSERT_TRUE(table_.apply_permanent(node));
  table_.drop_permanent("k", node.address);
  EXPECT_EQ(table_.node_count(), 1U);
  clock_.now_ms += kTolerance_ms + 1;
  table_.expire();
  EXPECT_EQ(table_.node_count(), 0U);
}

TEST_F(TableTest, NodeThatWasAnnouncedFirstStaysAnnounced) {
  const Announcement node = announce("k", "/run/1");
  ASSERT_TRUE(table_.apply(node, {}));
  ASSERT_TRUE(table_.apply_permanent(node));
  table_.drop_permanent("k", node.address);
  EXPECT_EQ(table_.node_count(), 1U);
  EXPECT_EQ(*table_.apply(announce("k", "/run/1", false), {}),
            Change::kRemoved);
}

TEST_F(TableTest, AnotherToleranceCountsForThoseThatAreKnown) {
  ASSERT_TRUE(table_.apply(announce("k", "/run/1"), {}));
  Options options;
  options.tolerance_ms = 2 * kTolerance_ms;
  table_.reconfigure(options);
  clock_.now_ms += kTolerance_ms + 1;
  table_.expire();
  EXPECT_EQ(table_.node_count(), 1U);
  clock_.now_ms += kTolerance_ms;
  table_.expire();
  EXPECT_EQ(table_.node_count(), 0U);
}

TEST_F(TableTest, WildcardsAndTheAlgorithmChangeForAllPools) {
  ASSERT_TRUE(table_.apply(announce(".example.com", "/run/1"), {}));
  EXPECT_NE(table_.build()->find("a.example.com", ""), nullptr);
  Options options;
  options.dotsplit = false;
  options.algorithm = Algorithm::kLrc;
  table_.reconfigure(options);
  ASSERT_TRUE(table_.dirty());
  const auto snapshot = table_.build();
  EXPECT_EQ(snapshot->find("a.example.com", ""), nullptr);
  EXPECT_EQ(snapshot->find_exact(".example.com")->algorithm(),
            Algorithm::kLrc);
}

TEST_F(TableTest, SavedNodesAreTheSameInAnotherTable) {
  Announcement node = announce("k", "/run/1");
  node.weight = 5;
  node.modifier1 = 9;
  node.algorithm = Algorithm::kLrc;
  ASSERT_TRUE(table_.apply(node, Credentials{1, 2, 3}));
  Announcement sleeper = announce("k", "/run/9");
  sleeper.address = {};
  sleeper.address_text.clear();
  sleeper.vassal = "sleeper";
  ASSERT_TRUE(table_.apply(sleeper, {}));
  ASSERT_EQ(table_.set_drained("k", "/run/1", true), Table::Drain::kDone);
  clock_.now_ms += 10;
  ASSERT_TRUE(table_.apply(announce("other", "/run/2"), {}));
  ASSERT_TRUE(table_.apply_permanent(announce("static", "/run/3")));

  Table next(clock_, kTolerance_ms, true);
  const auto saved = table_.save();
  EXPECT_EQ(saved.size(), 3U);  // the configuration's comes with it
  for (const SavedNode& each : saved) next.restore(each);
  EXPECT_EQ(next.node_count(), 3U);
  next.with_pool("k", [&](const Table::PoolView& pool) {
    EXPECT_EQ(pool.algorithm, Algorithm::kLrc);
    ASSERT_EQ(pool.nodes.size(), 2U);
    const NodeRecord& restored = *pool.nodes[0];
    EXPECT_EQ(restored.name(), "/run/1");
    EXPECT_EQ(restored.weight, 5U);
    EXPECT_EQ(restored.modifier1, 9);
    EXPECT_TRUE(restored.drained);
    EXPECT_EQ(restored.sender()->uid, 2U);
    EXPECT_TRUE(pool.nodes[1]->sleeping);
  });
  EXPECT_NE(next.build()->find_exact("other"), nullptr);
  clock_.now_ms += kTolerance_ms - 5;  // 5 too many for the first ones
  next.expire();
  EXPECT_EQ(next.node_count(), 1U);
}

}  // namespace
}  // namespace fealty::subscription
