#include "subscription/snapshot.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "subscription/table.h"
#include "support.h"

namespace fealty::subscription {
namespace {

using test::announce;
using test::FakeClock;

class SnapshotTest : public testing::Test {
 protected:
  // Routes by exactly these keys.
  void serve(const std::vector<std::string>& keys, bool dotsplit = true) {
    Table table(clock_, 30'000, dotsplit);
    for (const std::string& key : keys) {
      EXPECT_TRUE(table.apply(announce(key, "/run/a"), {}));
    }
    snapshot_ = table.build();
  }
  // The key that answers, or "-".
  [[nodiscard]] std::string found(std::string_view host,
                                  std::string_view host_port = "") const {
    const auto* pool = snapshot_->find(host, host_port);
    return pool == nullptr ? "-" : (*pool)->key;
  }

  FakeClock clock_;
  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<Snapshot>();
};

TEST_F(SnapshotTest, EmptyOneKnowsNobody) {
  EXPECT_EQ(found("example.com"), "-");
  EXPECT_EQ(snapshot_->version(), 0U);
  EXPECT_EQ(snapshot_->find_exact(""), nullptr);
}

TEST_F(SnapshotTest, ExactKeyWinsOverWildcard) {
  serve({".example.com", "www.example.com"});
  EXPECT_EQ(found("www.example.com"), "www.example.com");
  EXPECT_EQ(found("other.example.com"), ".example.com");
}

TEST_F(SnapshotTest, WildcardDoesNotAnswerForItsOwnDomain) {
  serve({".example.com"});
  EXPECT_EQ(found("example.com"), "-");
  EXPECT_EQ(found("notexample.com"), "-");
  EXPECT_EQ(found("a.example.com"), ".example.com");
}

TEST_F(SnapshotTest, ClientCannotAskForTheWildcardItself) {
  serve({".example.com"});
  EXPECT_EQ(found(".example.com"), "-");
  EXPECT_EQ(found(".a.example.com"), "-");
  EXPECT_EQ(found(""), "-");
}

TEST_F(SnapshotTest, MostSpecificWildcardWins) {
  serve({".com", ".example.com", ".b.example.com"});
  EXPECT_EQ(found("a.b.example.com"), ".b.example.com");
  EXPECT_EQ(found("a.c.example.com"), ".example.com");
  EXPECT_EQ(found("a.other.com"), ".com");
  EXPECT_EQ(found("com"), "-");
}

TEST_F(SnapshotTest, FiveStepsAreTried) {
  serve({".example.com"});
  EXPECT_EQ(found("e.d.c.b.example.com"), ".example.com");
  EXPECT_EQ(found("f.e.d.c.b.example.com"), ".example.com");
  EXPECT_EQ(found("g.f.e.d.c.b.example.com"), "-");
}

TEST_F(SnapshotTest, WithoutDotsplitOnlyExactKeysAnswer) {
  serve({".example.com", "www.example.com"}, false);
  EXPECT_EQ(found("www.example.com"), "www.example.com");
  EXPECT_EQ(found("a.example.com"), "-");
}

TEST_F(SnapshotTest, KeyWithPortWinsForThatPort) {
  serve({"example.com", "example.com:8080"});
  EXPECT_EQ(found("example.com", "example.com:8080"), "example.com:8080");
  EXPECT_EQ(found("example.com", "example.com:9090"), "example.com");
  EXPECT_EQ(found("example.com"), "example.com");
}

TEST_F(SnapshotTest, KeyWithPortAnswersForNoOtherPort) {
  serve({"example.com:8080", ".com"});
  EXPECT_EQ(found("example.com", "example.com:9090"), ".com");
  EXPECT_EQ(found("example.com"), ".com");
}

TEST_F(SnapshotTest, HostsOfNumbersAreKeysLikeOthers) {
  serve({"10.0.0.1", "[fc00::1]", "[fc00::1]:81"});
  EXPECT_EQ(found("10.0.0.1"), "10.0.0.1");
  EXPECT_EQ(found("[fc00::1]", "[fc00::1]:81"), "[fc00::1]:81");
  EXPECT_EQ(found("[fc00::1]", "[fc00::1]:82"), "[fc00::1]");
}

TEST_F(SnapshotTest, ManyKeysAreAllFound) {
  std::vector<std::string> keys;
  for (int i = 0; i < 5'000; ++i) {
    keys.push_back("d" + std::to_string(i) + ".example.com");
  }
  serve(keys);
  std::size_t held = 0;
  for (const auto& shard : snapshot_->shards()) {
    if (shard != nullptr) held += shard->size();
  }
  EXPECT_EQ(held, keys.size());
  for (const std::string& key : keys) ASSERT_EQ(found(key), key);
  EXPECT_EQ(found("d5000.example.com"), "-");
}

std::shared_ptr<const Pool> bare_pool(std::string key, std::uint64_t hash) {
  auto pool = std::make_shared<Pool>();
  pool->key = std::move(key);
  pool->hash = hash;
  return pool;
}

TEST(Shard, EqualHashesAreToldApartByTheKey) {
  const Shard shard({bare_pool("a", 7), bare_pool("b", 7), bare_pool("c", 7)});
  EXPECT_EQ((*shard.find("b", 7))->key, "b");
  EXPECT_EQ((*shard.find("c", 7))->key, "c");
  EXPECT_EQ(shard.find("d", 7), nullptr);
  EXPECT_EQ(shard.find("a", 8), nullptr);
}

TEST(Shard, ProbingWrapsAroundTheEnd) {
  const Shard shard({bare_pool("a", 3), bare_pool("b", 3)});  // four slots
  EXPECT_EQ((*shard.find("a", 3))->key, "a");
  EXPECT_EQ((*shard.find("b", 3))->key, "b");
  EXPECT_EQ(shard.find("c", 3), nullptr);
}

TEST(Shard, EmptyOneFindsNothing) {
  const Shard shard({});
  EXPECT_EQ(shard.find("a", 0), nullptr);
  EXPECT_EQ(shard.size(), 0U);
}

TEST(ShardOf, IsWithinTheSnapshot) {
  EXPECT_EQ(shard_of(0), 0U);
  EXPECT_EQ(shard_of(~std::uint64_t{0}), Snapshot::kShards - 1);
}

}  // namespace
}  // namespace fealty::subscription
