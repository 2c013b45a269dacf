// What of a node's life needs a clock or a name: on-demand vassals, pools that
// are held, the pause of expiry, slow start, algorithms.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "subscription/choose.h"
#include "subscription/table.h"
#include "support.h"

namespace fealty::subscription {
namespace {

using test::announce;
using test::FakeClock;
using test::kTolerance_ms;
using testing::ElementsAre;

class TableLife : public testing::Test {
 protected:
  static Options options(std::int64_t hold_ms = 0) {
    Options options;
    options.tolerance_ms = kTolerance_ms;
    options.hold_ms = hold_ms;
    return options;
  }
  void use(const Options& options) {
    table_ = std::make_unique<Table>(clock_, options);
  }
  Change apply(const Announcement& announcement) {
    const auto change = table_->apply(announcement, {});
    EXPECT_TRUE(change);
    return change ? *change : Change::kNone;
  }
  Change add(std::string_view key, std::string_view address) {
    return apply(announce(key, address));
  }
  Change remove(std::string_view key, std::string_view address) {
    return apply(announce(key, address, false));
  }
  static Announcement vassal(const std::string& name,
                             const std::string& address = "",
                             bool subscribe = true) {
    Announcement announcement = announce("k", "/run/x", subscribe);
    announcement.vassal = name;
    announcement.address_text = address;
    announcement.address =
        address.empty() ? Address() : *Address::parse(address);
    return announcement;
  }
  const Pool* pool(std::string_view key = "k") {
    snapshot_ = table_->build();
    return snapshot_->find_exact(key);
  }
  std::vector<std::string> routed(std::string_view key = "k") {
    std::vector<std::string> names;
    const Pool* const its = pool(key);
    if (its == nullptr) return {"no pool"};
    for (const Node& node : its->nodes()) names.emplace_back(node.name());
    return names;
  }
  std::string to_wake() { return std::string(pool()->vassal_to_wake()); }
  void pass(std::int64_t ms) { clock_.now_ms += ms; }

  FakeClock clock_;
  std::unique_ptr<Table> table_ =
      std::make_unique<Table>(clock_, kTolerance_ms, true);
  std::shared_ptr<const Snapshot> snapshot_;
};

// ------------------------------------------------------------- on demand

TEST_F(TableLife, SleepingVassalIsShownAndNeverRoutedTo) {
  EXPECT_EQ(apply(vassal("v.ini")), Change::kAdded);
  EXPECT_THAT(routed(), ElementsAre());
  EXPECT_EQ(to_wake(), "v.ini");
  EXPECT_EQ(table_->node_count(), 1U);
  table_->for_each_pool([](const Table::PoolView& view) {
    ASSERT_EQ(view.nodes.size(), 1U);
    EXPECT_TRUE(view.nodes[0]->sleeping);
    EXPECT_EQ(view.nodes[0]->vassal(), "v.ini");
  });
  EXPECT_EQ(apply(vassal("v.ini")), Change::kRefreshed);
}

TEST_F(TableLife, NodeTakesItsSleepersPlace) {
  apply(vassal("v.ini"));
  EXPECT_EQ(apply(vassal("v.ini", "/run/v")), Change::kAdded);
  EXPECT_THAT(routed(), ElementsAre("/run/v"));
  EXPECT_EQ(to_wake(), "");
  EXPECT_EQ(table_->node_count(), 1U);
  EXPECT_EQ(apply(vassal("v.ini")), Change::kNone) << "it is up";
  EXPECT_EQ(apply(vassal("v.ini", "/run/v")), Change::kRefreshed);
}

TEST_F(TableLife, OnDemandNodeSleepsAgainWhenItLeaves) {
  apply(vassal("v.ini"));
  apply(vassal("v.ini", "/run/v"));
  EXPECT_EQ(apply(vassal("v.ini", "/run/v", false)), Change::kRemoved);
  EXPECT_THAT(routed(), ElementsAre());
  EXPECT_EQ(to_wake(), "v.ini");
  apply(vassal("v.ini", "/run/v"));
  pass(kTolerance_ms + 1);
  EXPECT_EQ(table_->expire().dropped, 1U);
  EXPECT_EQ(to_wake(), "v.ini");
  pass(kTolerance_ms + 1);
  EXPECT_EQ(table_->expire().dropped, 1U);
  EXPECT_THAT(routed(), ElementsAre("no pool"));
  EXPECT_EQ(table_->node_count(), 0U);
}

TEST_F(TableLife, OrdinaryNodeWithAVassalsNameJustLeaves) {
  apply(vassal("v.ini", "/run/v"));
  apply(vassal("v.ini", "/run/v", false));
  EXPECT_THAT(routed(), ElementsAre("no pool"));
}

TEST_F(TableLife, InactivePutsARunningNodeToSleep) {
  apply(vassal("v.ini", "/run/v"));
  auto inactive = vassal("v.ini", "/run/v");
  inactive.inactive = true;
  EXPECT_EQ(apply(inactive), Change::kChanged);
  EXPECT_THAT(routed(), ElementsAre());
  EXPECT_EQ(to_wake(), "v.ini");
  EXPECT_EQ(apply(inactive), Change::kRefreshed);
  EXPECT_EQ(apply(vassal("v.ini", "/run/v")), Change::kAdded);
  EXPECT_THAT(routed(), ElementsAre("/run/v"));
  EXPECT_EQ(table_->node_count(), 1U);
}

TEST_F(TableLife, UnsubscribeThatIsInactiveLeavesASleeper) {
  apply(vassal("v.ini", "/run/v"));
  auto leaving = vassal("v.ini", "/run/v", false);
  leaving.inactive = true;
  EXPECT_EQ(apply(leaving), Change::kRemoved);
  EXPECT_EQ(to_wake(), "v.ini");
}

TEST_F(TableLife, SleeperIsUnsubscribedByName) {
  apply(vassal("v.ini"));
  apply(vassal("w.ini"));
  EXPECT_EQ(apply(vassal("v.ini", "", false)), Change::kRemoved);
  EXPECT_EQ(to_wake(), "w.ini");
  EXPECT_EQ(apply(vassal("v.ini", "", false)), Change::kNone);
}

TEST_F(TableLife, ClearForgetsWhoSleeps) {
  apply(vassal("v.ini"));
  apply(vassal("w.ini"));
  apply(vassal("x.ini", "/run/x"));
  auto clear = vassal("v.ini");
  clear.clear = true;
  EXPECT_EQ(apply(clear), Change::kRemoved);
  EXPECT_EQ(to_wake(), "");
  EXPECT_THAT(routed(), ElementsAre("/run/x"));
  EXPECT_EQ(apply(clear), Change::kNone);
}

TEST_F(TableLife, ClearWithAnAddressSubscribesToo) {
  apply(vassal("v.ini"));
  auto clear = vassal("w.ini", "/run/w");
  clear.clear = true;
  EXPECT_EQ(apply(clear), Change::kAdded);
  EXPECT_EQ(to_wake(), "");
  EXPECT_THAT(routed(), ElementsAre("/run/w"));
}

TEST_F(TableLife, NodeThatNamesItsVassalLaterIsReplaced) {
  add("k", "/run/v");
  EXPECT_EQ(apply(vassal("v.ini", "/run/v")), Change::kChanged);
  EXPECT_EQ(pool()->nodes()[0].runtime->vassal(), "v.ini");
  EXPECT_EQ(table_->node_count(), 1U);
}

// ------------------------------------------------------------------ hold

TEST_F(TableLife, PoolIsHeldAfterItsLastNodeLeft) {
  use(options(2'000));
  add("k", "/run/1");
  (void)table_->build();
  remove("k", "/run/1");
  EXPECT_THAT(routed(), ElementsAre()) << "a pool without nodes";
  EXPECT_EQ(table_->pool_count(), 0U);
  pass(1'999);
  table_->expire();
  EXPECT_FALSE(table_->dirty());
  pass(1);
  table_->expire();
  EXPECT_TRUE(table_->dirty());
  EXPECT_THAT(routed(), ElementsAre("no pool"));
}

TEST_F(TableLife, NodeThatComesBackEndsTheHold) {
  use(options(2'000));
  add("k", "/run/1");
  (void)table_->build();
  remove("k", "/run/1");
  (void)table_->build();
  pass(1'000);
  EXPECT_EQ(add("k", "/run/1"), Change::kAdded);
  pass(5'000);
  table_->expire();
  EXPECT_THAT(routed(), ElementsAre("/run/1"));
}

TEST_F(TableLife, EachLeaveIsHeldForItsOwnTime) {
  use(options(2'000));
  add("k", "/run/1");
  (void)table_->build();
  remove("k", "/run/1");
  pass(1'500);
  add("k", "/run/1");
  remove("k", "/run/1");
  pass(1'000);
  table_->expire();
  EXPECT_THAT(routed(), ElementsAre());
  pass(1'000);
  table_->expire();
  EXPECT_THAT(routed(), ElementsAre("no pool"));
}

TEST_F(TableLife, ExpiredPoolIsHeldToo) {
  use(options(2'000));
  add("k", "/run/1");
  (void)table_->build();
  pass(kTolerance_ms + 1);
  table_->expire();
  EXPECT_THAT(routed(), ElementsAre());
}

TEST_F(TableLife, PoolThatNobodySawIsNotHeld) {
  use(options(2'000));
  add("k", "/run/1");
  remove("k", "/run/1");
  EXPECT_THAT(routed(), ElementsAre("no pool"));
}

TEST_F(TableLife, HitsOutliveTheHold) {
  use(options(2'000));
  add("k", "/run/1");
  pool()->nodes()[0].runtime->requests = 7;
  remove("k", "/run/1");
  add("k", "/run/1");
  EXPECT_EQ(pool()->hits(), 7U);
}

// ---------------------------------------------------------- expiry's pause

class ExpiryPause : public TableLife {
 protected:
  void announce_from(int first, int count) {
    for (int i = first; i < first + count; ++i) {
      add("k" + std::to_string(i), "/run/" + std::to_string(i));
    }
  }
};

TEST_F(ExpiryPause, EightThatFallSilentTogetherStayForAnotherTolerance) {
  announce_from(0, 4);
  pass(9'000);
  announce_from(4, 4);
  pass(kTolerance_ms - 9'000 + 1);
  const auto first = table_->expire();
  EXPECT_TRUE(first.pause_began);
  EXPECT_EQ(first.dropped, 0U);
  pass(kTolerance_ms - 1);
  const auto during = table_->expire();
  EXPECT_FALSE(during.pause_began) << "said once";
  EXPECT_EQ(during.dropped, 0U);
  pass(1);
  const auto after = table_->expire();
  EXPECT_FALSE(after.pause_began) << "not twice without a packet";
  EXPECT_EQ(after.dropped, 8U);
}

TEST_F(ExpiryPause, SevenDoNot) {
  announce_from(0, 7);
  pass(kTolerance_ms + 1);
  const auto expiry = table_->expire();
  EXPECT_FALSE(expiry.pause_began);
  EXPECT_EQ(expiry.dropped, 7U);
}

TEST_F(ExpiryPause, KeysOfOneAddressAreOneAnnouncer) {
  for (int i = 0; i < 20; ++i) add("k" + std::to_string(i), "/run/1");
  pass(kTolerance_ms + 1);
  EXPECT_EQ(table_->expire().dropped, 20U);
}

TEST_F(ExpiryPause, OneThatStillSpeaksIsEnoughToGoOn) {
  announce_from(0, 9);
  for (int second = 0; second < 30; second += 10) {
    pass(10'000);
    announce_from(0, 1);
  }
  pass(1);
  const auto expiry = table_->expire();
  EXPECT_FALSE(expiry.pause_began);
  EXPECT_EQ(expiry.dropped, 8U);
}

TEST_F(ExpiryPause, WhoSpeaksAgainStaysAndTheOthersGo) {
  announce_from(0, 10);
  pass(kTolerance_ms + 1);
  EXPECT_TRUE(table_->expire().pause_began);
  pass(kTolerance_ms / 2);
  announce_from(0, 3);
  pass(kTolerance_ms / 2);
  const auto expiry = table_->expire();
  EXPECT_FALSE(expiry.pause_began);
  EXPECT_EQ(expiry.dropped, 7U);
  EXPECT_EQ(table_->node_count(), 3U);
}

TEST_F(ExpiryPause, MayHappenAgainAfterPackets) {
  for (int round = 0; round < 2; ++round) {
    announce_from(0, 8);
    pass(kTolerance_ms + 1);
    EXPECT_TRUE(table_->expire().pause_began);
    pass(kTolerance_ms);
  }
}

TEST_F(ExpiryPause, UnsubscribeCountsMeanwhile) {
  announce_from(0, 8);
  pass(kTolerance_ms + 1);
  EXPECT_TRUE(table_->expire().pause_began);
  EXPECT_EQ(remove("k3", "/run/3"), Change::kRemoved);
  EXPECT_THAT(routed("k3"), ElementsAre("no pool"));
}

// ------------------------------------------------------------- the pool's

TEST_F(TableLife, LastAlgorithmNamedIsThePools) {
  auto named = announce("k", "/run/1");
  EXPECT_EQ(apply(named), Change::kAdded);
  EXPECT_EQ(pool()->algorithm(), Algorithm::kWrr);
  named.algorithm = Algorithm::kLrc;
  EXPECT_EQ(apply(named), Change::kChanged);
  EXPECT_EQ(pool()->algorithm(), Algorithm::kLrc);
  EXPECT_EQ(add("k", "/run/1"), Change::kRefreshed);
  EXPECT_EQ(pool()->algorithm(), Algorithm::kLrc);
  EXPECT_EQ(add("k", "/run/2"), Change::kAdded);
  EXPECT_EQ(pool()->algorithm(), Algorithm::kLrc);
}

TEST_F(TableLife, ConfiguredAlgorithmIsTheDefault) {
  Options configured = options();
  configured.algorithm = Algorithm::kIphash;
  use(configured);
  add("k", "/run/1");
  EXPECT_EQ(pool()->algorithm(), Algorithm::kIphash);
}

TEST_F(TableLife, BackupLevelsAreRankedFromTheLowestThereIs) {
  for (const auto& [name, backup] :
       {std::pair{"/run/c", 900U}, {"/run/a", 3U}, {"/run/b", 7U},
        {"/run/d", 3U}}) {
    auto announcement = announce("k", name);
    announcement.backup = backup;
    apply(announcement);
  }
  EXPECT_THAT(routed(), ElementsAre("/run/a", "/run/d", "/run/b", "/run/c"));
  EXPECT_EQ(pool()->level_count(), 3U);
  const Node* const node = choose(*pool(), {}, {.now_ms = clock_.now_ms});
  EXPECT_EQ(node->name(), "/run/a");
  EXPECT_EQ(remove("k", "/run/a"), Change::kRemoved);
  EXPECT_EQ(remove("k", "/run/d"), Change::kRemoved);
  EXPECT_EQ(choose(*pool(), {}, {.now_ms = clock_.now_ms})->name(), "/run/b");
}

TEST_F(TableLife, NodeThatJoinsOlderOnesIsRampedUp) {
  Options slow = options();
  slow.slow_start_ms = 10'000;
  use(slow);
  add("k", "/run/1");
  pass(9'999);
  add("k", "/run/2");
  EXPECT_LT(pool()->nodes()[1].runtime->eligible_since_ms, 0)
      << "they began together";
  pass(1);
  add("k", "/run/3");
  EXPECT_EQ(pool()->nodes()[2].runtime->eligible_since_ms, clock_.now_ms);
  EXPECT_EQ(pool()->runtime()->slow_start_ms, 10'000);
}

TEST_F(TableLife, PermanentNodeNeitherExpiresNorIsRemoved) {
  ASSERT_TRUE(table_->apply_permanent(announce("k", "/run/1")));
  add("k", "/run/2");
  pass(kTolerance_ms + 1);
  EXPECT_EQ(table_->expire().dropped, 1U);
  EXPECT_EQ(remove("k", "/run/1"), Change::kNone);
  EXPECT_EQ(add("k", "/run/1"), Change::kRefreshed);
  pass(kTolerance_ms + 1);
  EXPECT_EQ(table_->expire().dropped, 0U);
  EXPECT_THAT(routed(), ElementsAre("/run/1"));
}

class TableDrain : public TableLife {
 protected:
  Table::Drain drain(std::string_view name, bool drained = true,
                     std::string_view key = "k") {
    return table_->set_drained(key, name, drained);
  }
};

TEST_F(TableDrain, DrainedNodeIsNotRoutedAndAnnouncementsDoNotBringItBack) {
  add("k", "/run/1");
  add("k", "/run/2");
  EXPECT_EQ(drain("/run/1"), Table::Drain::kDone);
  EXPECT_TRUE(table_->dirty());
  EXPECT_THAT(routed(), ElementsAre("/run/2"));
  EXPECT_EQ(add("k", "/run/1"), Change::kRefreshed);
  EXPECT_THAT(routed(), ElementsAre("/run/2"));
  auto heavier = announce("k", "/run/1");
  heavier.weight = 5;
  EXPECT_EQ(apply(heavier), Change::kChanged);
  EXPECT_THAT(routed(), ElementsAre("/run/2"));
  EXPECT_EQ(table_->node_count(), 2U);
  EXPECT_EQ(drain("/run/1", false), Table::Drain::kDone);
  EXPECT_THAT(routed(), ElementsAre("/run/1", "/run/2"));
  EXPECT_EQ(pool()->nodes()[0].weight, 5U);
}

TEST_F(TableDrain, AddressMayBeWrittenAnyWay) {
  add("k", "/run/1");
  EXPECT_EQ(drain("unix:/run/1"), Table::Drain::kDone);
  EXPECT_EQ(drain("/run/1"), Table::Drain::kAlready);
  EXPECT_EQ(drain("/run/1", false), Table::Drain::kDone);
  EXPECT_EQ(drain("/run/1", false), Table::Drain::kAlready);
}

TEST_F(TableDrain, UnknownKeyAndNodeAreTold) {
  add("k", "/run/1");
  EXPECT_EQ(drain("/run/1", true, "other"), Table::Drain::kNoKey);
  EXPECT_EQ(drain("/run/2"), Table::Drain::kNoNode);
  EXPECT_EQ(drain(""), Table::Drain::kNoNode);
  remove("k", "/run/1");
  EXPECT_EQ(drain("/run/1"), Table::Drain::kNoKey);
}

TEST_F(TableDrain, LastNodeCanBeDrainedAndItsHitsStay) {
  add("k", "/run/1");
  pool()->nodes()[0].runtime->requests.fetch_add(7);
  drain("/run/1");
  EXPECT_THAT(routed(), ElementsAre());
  EXPECT_EQ(pool()->hits(), 7U);
  drain("/run/1", false);
  EXPECT_THAT(routed(), ElementsAre("/run/1"));
}

TEST_F(TableDrain, LastsAsLongAsTheNodeIsKnown) {
  add("k", "/run/1");
  drain("/run/1");
  remove("k", "/run/1");
  add("k", "/run/1");
  EXPECT_THAT(routed(), ElementsAre("/run/1"));
}

TEST_F(TableDrain, SleepingVassalIsNotWokenAndComesBackDrained) {
  apply(vassal("v"));
  EXPECT_EQ(to_wake(), "v");
  EXPECT_EQ(drain("v"), Table::Drain::kDone);
  EXPECT_EQ(to_wake(), "");
  apply(vassal("v", "/run/v"));
  EXPECT_THAT(routed(), ElementsAre());
  EXPECT_EQ(drain("/run/v", false), Table::Drain::kDone);
  EXPECT_THAT(routed(), ElementsAre("/run/v"));
}

TEST_F(TableDrain, UndrainedNodeIsRampedUp) {
  Options slow = options();
  slow.slow_start_ms = 10'000;
  use(slow);
  add("k", "/run/1");
  add("k", "/run/2");
  pass(20'000);
  drain("/run/2");
  pass(1'000);
  drain("/run/2", false);
  EXPECT_EQ(pool()->nodes()[1].runtime->eligible_since_ms, clock_.now_ms);
}

TEST_F(TableLife, PoolThatIsGoneIsToldOnceAndAfterItsHold) {
  use(options(2'000));
  std::vector<std::string> gone;
  table_->on_pool_gone(
      [&](std::string_view key) { gone.emplace_back(key); });
  add("k", "/run/1");
  add("k", "/run/2");
  (void)table_->build();
  remove("k", "/run/1");
  (void)table_->build();
  EXPECT_THAT(gone, ElementsAre()) << "it has another node";
  remove("k", "/run/2");
  (void)table_->build();
  EXPECT_THAT(gone, ElementsAre()) << "it is held";
  pass(2'000);
  table_->expire();
  (void)table_->build();
  EXPECT_THAT(gone, ElementsAre("k"));
  add("k", "/run/1");
  remove("k", "/run/1");
  add("k", "/run/1");
  (void)table_->build();
  EXPECT_THAT(gone, ElementsAre("k")) << "it came back in time";
}

TEST_F(TableLife, RemovedNodeDrains) {
  add("k", "/run/1");
  PoolRef kept = PoolRef::share(pool());
  remove("k", "/run/1");
  snapshot_.reset();
  (void)table_->build();
  table_.reset();
  NodeRuntime& runtime = *kept->nodes()[0].runtime;
  runtime.in_flight.fetch_add(1);
  EXPECT_EQ(runtime.name(), "/run/1");
}

}  // namespace
}  // namespace fealty::subscription
