// What nodes demand of clients, and where it stands: in the pool.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "subscription/table.h"
#include "support.h"

namespace fealty::subscription {
namespace {

using test::announce;
using test::FakeClock;
using test::kTolerance_ms;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

class TableRules : public testing::Test {
 protected:
  TableRules() { use(0); }

  void use(std::int64_t hold_ms) {
    Options options;
    options.tolerance_ms = kTolerance_ms;
    options.hold_ms = hold_ms;
    table_ = std::make_unique<Table>(clock_, options);
    table_->on_materials(
        [this](std::string_view, std::span<const std::uint32_t> tags) {
          asked_.emplace_back(tags.begin(), tags.end());
          return rule_;
        });
  }
  Change add(std::string_view address, std::string_view sni_ca = "",
             std::uint32_t material = 0) {
    Announcement announcement = announce("k", address);
    announcement.sni_ca = sni_ca;
    announcement.material = material;
    return *table_->apply(announcement, {});
  }
  void remove(std::string_view address) {
    EXPECT_EQ(*table_->apply(announce("k", address, false), {}),
              Change::kRemoved);
  }
  static Announcement vassal(const std::string& address,
                             std::string_view sni_ca = "") {
    Announcement announcement = announce("k", "/run/x");
    announcement.vassal = "v";
    announcement.address_text = address;
    announcement.address =
        address.empty() ? Address() : *Address::parse(address);
    announcement.sni_ca = sni_ca;
    announcement.material = sni_ca.empty() ? 0 : 7;
    return announcement;
  }
  ClientRule rule() {
    snapshot_ = table_->build();
    const Pool* const pool = snapshot_->find_exact("k");
    EXPECT_NE(pool, nullptr);
    return pool == nullptr ? ClientRule::kNone : pool->client_rule();
  }

  FakeClock clock_;
  std::unique_ptr<Table> table_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::vector<std::vector<std::uint32_t>> asked_;
  ClientRule rule_ = ClientRule::kDemands;   // what comes of the materials
};

TEST_F(TableRules, OneNodeThatDemandsDoesSoForAll) {
  rule_ = ClientRule::kNone;
  add("/run/1");
  EXPECT_EQ(rule(), ClientRule::kNone);
  EXPECT_EQ(asked_.size(), 0U) << "nobody is asked of what nobody brings";
  rule_ = ClientRule::kDemands;
  add("/run/2", "!/ca", 5);
  EXPECT_EQ(rule(), ClientRule::kDemands);
  add("/run/3", "/ca", 6);
  EXPECT_EQ(rule(), ClientRule::kDemands);
  EXPECT_THAT(asked_.back(), UnorderedElementsAre(5U, 6U));
  remove("/run/2");
  EXPECT_EQ(rule(), ClientRule::kDemands) << "its material lingers";
  EXPECT_THAT(asked_.back(), ElementsAre(6U));
  rule_ = ClientRule::kNone;
  table_->renew("k");
  EXPECT_EQ(rule(), ClientRule::kNone);
}

TEST_F(TableRules, WhereNobodyCanBeJudgedNobodyGetsIn) {
  rule_ = ClientRule::kNone;
  add("/run/1", "!/ca", 5);
  EXPECT_EQ(rule(), ClientRule::kUnusable) << "the node's word counts";
  rule_ = ClientRule::kDemands;
  EXPECT_EQ(add("/run/1", "!/ca", 5), Change::kRefreshed);
  table_->renew("k");
  EXPECT_EQ(rule(), ClientRule::kDemands);
}

TEST_F(TableRules, DemandCountsThoughNobodyLooksAtCertificates) {
  table_->on_materials({});
  add("/run/1", "!/ca");
  EXPECT_EQ(rule(), ClientRule::kUnusable);
}

TEST_F(TableRules, NodesLastWordCounts) {
  rule_ = ClientRule::kNone;
  add("/run/1", "!/ca", 5);
  EXPECT_EQ(rule(), ClientRule::kUnusable);
  EXPECT_EQ(add("/run/1", "/ca", 6), Change::kChanged);
  EXPECT_EQ(rule(), ClientRule::kNone);
  EXPECT_EQ(add("/run/1", "!/ca", 5), Change::kChanged);
  EXPECT_EQ(rule(), ClientRule::kUnusable);
  EXPECT_EQ(add("/run/1", "!/ca", 5), Change::kRefreshed);
}

TEST_F(TableRules, HeldPoolKeepsItsRuleUntilANodeComes) {
  use(5'000);
  add("/run/1", "!/ca", 5);
  EXPECT_EQ(rule(), ClientRule::kDemands);
  asked_.clear();
  remove("/run/1");
  EXPECT_EQ(rule(), ClientRule::kDemands);
  EXPECT_EQ(asked_.size(), 0U) << "its certificate stays";
  rule_ = ClientRule::kNone;
  add("/run/1");
  EXPECT_EQ(rule(), ClientRule::kNone);
  EXPECT_THAT(asked_, ElementsAre(ElementsAre()));
}

TEST_F(TableRules, SilentNodesDemandGoesWithIt) {
  add("/run/1", "!/ca", 5);
  clock_.now_ms += kTolerance_ms - 1;
  add("/run/2");
  EXPECT_EQ(rule(), ClientRule::kDemands);
  clock_.now_ms += 2;
  EXPECT_EQ(table_->expire({}).dropped, 1U);
  rule_ = ClientRule::kNone;
  EXPECT_EQ(rule(), ClientRule::kNone);
}

TEST_F(TableRules, VassalThatFallsAsleepGoesOnDemanding) {
  rule_ = ClientRule::kNone;
  EXPECT_TRUE(table_->apply(vassal("/run/1", "!/ca"), {}));
  Announcement leaves = vassal("/run/1");
  leaves.subscribe = false;
  leaves.inactive = true;
  EXPECT_TRUE(table_->apply(leaves, {}));
  EXPECT_EQ(rule(), ClientRule::kUnusable);
  Announcement sleeps = vassal("");
  sleeps.inactive = true;
  EXPECT_TRUE(table_->apply(sleeps, {}));
  EXPECT_EQ(rule(), ClientRule::kUnusable) << "it says nothing of that";
  EXPECT_TRUE(table_->apply(vassal("/run/1"), {}));
  rule_ = ClientRule::kNone;
  EXPECT_EQ(rule(), ClientRule::kNone) << "it is up, and says so";
}

TEST_F(TableRules, NodeThatTheConfigurationNamesTooGoesOnDemanding) {
  add("/run/1", "!/ca", 5);
  EXPECT_EQ(rule(), ClientRule::kDemands);
  EXPECT_TRUE(table_->apply_permanent(announce("k", "/run/1")));
  EXPECT_EQ(rule(), ClientRule::kDemands);
}

TEST_F(TableRules, DrainedNodeGoesOnDemanding) {
  add("/run/1", "!/ca", 5);
  add("/run/2");
  EXPECT_EQ(table_->set_drained("k", "/run/1", true), Table::Drain::kDone);
  EXPECT_EQ(rule(), ClientRule::kDemands);
}

}  // namespace
}  // namespace fealty::subscription
