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
    const Pool* const pool = snapshot_->find(host, host_port);
    return pool == nullptr ? "-" : std::string(pool->key());
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
  EXPECT_EQ(snapshot_->pool_count(), keys.size());
  for (const std::string& key : keys) ASSERT_EQ(found(key), key);
  EXPECT_EQ(found("d5000.example.com"), "-");
}

PoolRef bare_pool(std::string_view key) { return Pool::make({.key = key}); }

Ref<const Shard> shard_of_keys(const std::vector<std::string>& keys,
                               std::uint64_t hash) {
  Ref<const Shard> shard;
  for (const std::string& key : keys) {
    shard = Shard::edited(std::move(shard), hash, key, bare_pool(key));
  }
  return shard;
}

TEST(Shard, EqualHashesAreToldApartByTheKey) {
  const auto shard = shard_of_keys({"a", "b", "c"}, 7);
  EXPECT_EQ(shard->find("b", 7)->key(), "b");
  EXPECT_EQ(shard->find("c", 7)->key(), "c");
  EXPECT_EQ(shard->find("d", 7), nullptr);
  EXPECT_EQ(shard->find("a", ~std::uint64_t{7}), nullptr);
}

TEST(Shard, ExtremeTagsAreFound) {
  Ref<const Shard> shard;
  const std::uint64_t last = ~std::uint64_t{0};
  shard = Shard::edited(std::move(shard), last, "z", bare_pool("z"));
  shard = Shard::edited(std::move(shard), last, "y", bare_pool("y"));
  shard = Shard::edited(std::move(shard), 0, "a", bare_pool("a"));
  EXPECT_EQ(shard->find("a", 0)->key(), "a");
  EXPECT_EQ(shard->find("y", last)->key(), "y");
  EXPECT_EQ(shard->find("z", last)->key(), "z");
}

TEST(Shard, EditLeavesTheOldOneAsItWas) {
  const auto old = shard_of_keys({"a", "b"}, 7);
  auto fresh = Shard::edited(old, 7, "a", {});
  fresh = Shard::edited(std::move(fresh), 7, "c", bare_pool("c"));
  EXPECT_NE(old->find("a", 7), nullptr);
  EXPECT_EQ(old->find("c", 7), nullptr);
  EXPECT_EQ(fresh->find("a", 7), nullptr);
  EXPECT_NE(fresh->find("c", 7), nullptr);
  EXPECT_EQ(old->find("b", 7), fresh->find("b", 7));
}

TEST(Shard, PoolOfTheSameKeyTakesThePlace) {
  auto shard = shard_of_keys({"a", "b"}, 7);
  const PoolRef fresh = bare_pool("a");
  shard = Shard::edited(std::move(shard), 7, "a", fresh);
  EXPECT_EQ(shard->size(), 2U);
  EXPECT_EQ(shard->find("a", 7), fresh.get());
}

TEST(Shard, NothingIsLeftBehindTheLastKey) {
  auto shard = shard_of_keys({"a"}, 7);
  EXPECT_EQ(Shard::edited(shard, 7, "b", {}), shard);
  EXPECT_EQ(Shard::edited(std::move(shard), 7, "a", {}), nullptr);
}

TEST(ShardOf, IsWithinTheSnapshot) {
  EXPECT_EQ(shard_of(0), 0U);
  EXPECT_EQ(shard_of(~std::uint64_t{0}), kShards - 1);
}

class Mountpoints : public SnapshotTest {
 protected:
  [[nodiscard]] std::string at(std::string_view host, std::string_view path,
                               int levels = 2,
                               std::string_view host_port = "") const {
    const Pool* const pool = snapshot_->find(host, host_port, path, levels);
    return pool == nullptr ? "-" : std::string(pool->key());
  }
  // Keys that the decoder may not read yet.
  void mount(const std::vector<std::string>& keys) {
    auto snapshot = std::make_shared<Snapshot>(true, 1);
    for (const std::string& key : keys) snapshot->put(bare_pool(key));
    snapshot_ = snapshot;
  }
};

TEST_F(Mountpoints, LongestWins) {
  mount({"a.com", "a.com/x", "a.com/x/y"});
  EXPECT_EQ(at("a.com", "/x/y/z"), "a.com/x/y");
  EXPECT_EQ(at("a.com", "/x/y"), "a.com/x/y");
  EXPECT_EQ(at("a.com", "/x/"), "a.com/x");
  EXPECT_EQ(at("a.com", "/x/z"), "a.com/x");
  EXPECT_EQ(at("a.com", "/"), "a.com");
  EXPECT_EQ(at("a.com", ""), "a.com");
  EXPECT_EQ(at("a.com", "*"), "a.com");
}

TEST_F(Mountpoints, WholeComponentsOnly) {
  mount({"a.com/x"});
  EXPECT_EQ(at("a.com", "/xy"), "-");
  EXPECT_EQ(at("a.com", "//x"), "-");
  // What was an escape in the request is no query here.
  EXPECT_EQ(at("a.com", "/x?q=/y"), "-");
}

TEST_F(Mountpoints, NoMoreLevelsThanConfigured) {
  mount({"a.com", "a.com/x", "a.com/x/y"});
  EXPECT_EQ(at("a.com", "/x/y", 1), "a.com/x");
  EXPECT_EQ(at("a.com", "/x/y", 0), "a.com");
  EXPECT_EQ(at("a.com", "/x/y", 1'000), "a.com/x/y");
}

TEST_F(Mountpoints, HostWithPortFirst) {
  mount({"a.com", "a.com/x", "a.com:81", "a.com:81/x"});
  EXPECT_EQ(at("a.com", "/x", 1, "a.com:81"), "a.com:81/x");
  EXPECT_EQ(at("a.com", "/y", 1, "a.com:81"), "a.com:81");
  EXPECT_EQ(at("a.com", "/x", 1, "a.com:82"), "a.com/x");
}

TEST_F(Mountpoints, MountpointOfTheHostWinsOverWildcards) {
  mount({"w.a.com/x", ".a.com"});
  EXPECT_EQ(at("w.a.com", "/x"), "w.a.com/x");
  EXPECT_EQ(at("w.a.com", "/y"), ".a.com");
}

TEST_F(Mountpoints, BracketedHostsHaveThemToo) {
  mount({"[::1]/x", "[::1]"});
  EXPECT_EQ(at("[::1]", "/x/y"), "[::1]/x");
  EXPECT_EQ(at("[::1]", "/y"), "[::1]");
}

TEST_F(Mountpoints, OverlongPathIsNoKey) {
  mount({"a.com"});
  EXPECT_EQ(at("a.com", "/" + std::string(300, 'x')), "a.com");
  EXPECT_EQ(at(std::string(300, 'h'), "/x"), "-");
}

}  // namespace
}  // namespace fealty::subscription
