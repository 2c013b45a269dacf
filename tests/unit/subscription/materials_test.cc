#include "subscription/materials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "support.h"

namespace fealty::subscription {
namespace {

using test::FakeClock;
using test::kPem;
using test::TempDir;
using test::write_file;
using testing::ElementsAre;
using Outcome = Materials::Outcome;

class MaterialsTest : public testing::Test {
 protected:
  MaterialsTest() {
    options_.allow_sni_paths = {home_.path()};
    options_.serves_sni = true;
    for (const char* const name : {"a.key", "a.crt", "a.ca"}) {
      write_file(home_ / name, std::string(name) + " 1");
    }
    materials_.set_hooks(
        {.deliver =
             [this](std::string_view key, const Hash128& source,
                    SniMaterial material) {
               taken_.push_back(std::string(key) + ": " + material.key + ", " +
                                material.chain + ", " +
                                (material.client_required ? "!" : "") +
                                material.client_ca);
               sources_.push_back(source);
               return problem_;
             },
         .retire =
             [this](std::string_view, const Hash128& source) {
               retired_.push_back(source);
             },
         .guards = [this](std::string_view, const Hash128&) {
           return guards_;
         }});
  }

  Outcome announce(const std::string& key = "k",
                   const std::string& stem = "a") {
    const std::string sni_key = home_ / (stem + ".key");
    const std::string sni_crt = home_ / (stem + ".crt");
    const std::string sni_ca = "!" + (home_ / (stem + ".ca"));
    Announcement announcement;
    announcement.sni_key = sni_key;
    announcement.sni_crt = sni_crt;
    announcement.sni_ca = sni_ca;
    return announce(key, announcement);
  }
  Outcome announce(const std::string& key, const Announcement& announcement,
                   std::string_view objection = "") {
    const auto source =
        files_.open(announcement, Credentials{1, ::getuid(), ::getgid()});
    EXPECT_TRUE(source);
    if (!source) return Outcome::kNothing;
    tag_ = materials_.tag_of(*source);
    return materials_.on_announcement(key, *source, objection);
  }
  Outcome announce_text(const std::string& key, const std::string& pem) {
    Announcement announcement;
    announcement.sni_crt = pem;
    return announce(key, announcement);
  }
  static constexpr std::int64_t kLinger_ms = 1'000;
  ClientRule keep(const std::string& key,
                  const std::vector<std::uint32_t>& tags) {
    return materials_.keep_only(key, tags, kLinger_ms);
  }
  // Announces until the files' times are old enough to be relied upon.
  void announce_until_settled() {
    for (int i = 0; i < 1000; ++i) {
      if (announce() == Outcome::kUnchanged) return;
      ::usleep(10'000);
    }
    FAIL() << "the files never settle";
  }

  TempDir home_;
  FakeClock clock_;
  Options options_;
  SniFiles files_{options_};
  Materials materials_{clock_};
  std::optional<std::string> problem_;
  std::vector<std::string> taken_;
  std::vector<Hash128> sources_;
  std::vector<Hash128> retired_;
  bool guards_ = true;
  std::uint32_t tag_ = 0;                // of what was announced last
};

TEST_F(MaterialsTest, BytesAreHandedOverWithTheClientPolicy) {
  EXPECT_EQ(announce(), Outcome::kTaken);
  EXPECT_THAT(taken_, ElementsAre("k: a.key 1, a.crt 1, !a.ca 1"));
}

TEST_F(MaterialsTest, RefreshReadsNothingOnceTheFilesHaveSettled) {
  announce_until_settled();
  const std::uint64_t reads = materials_.reads();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(announce(), Outcome::kUnchanged);
  EXPECT_EQ(materials_.reads(), reads);
}

TEST_F(MaterialsTest, NewBytesAtTheSamePathAreTakenAtTheNextAnnouncement) {
  announce_until_settled();
  taken_.clear();
  write_file(home_ / "a.crt", "a.crt 2");  // of the same length
  EXPECT_EQ(announce(), Outcome::kTaken);
  EXPECT_THAT(taken_, ElementsAre("k: a.key 1, a.crt 2, !a.ca 1"));
  write_file(home_ / "a.crt", "a.crt 3");  // within the same tick, perhaps
  EXPECT_EQ(announce(), Outcome::kTaken);
  EXPECT_EQ(taken_.back(), "k: a.key 1, a.crt 3, !a.ca 1");
}

TEST_F(MaterialsTest, FileRenamedIntoPlaceIsTakenAtTheNextAnnouncement) {
  announce_until_settled();
  write_file(home_ / "new", "renamed");
  std::filesystem::rename(home_ / "new", home_ / "a.crt");
  EXPECT_EQ(announce(), Outcome::kTaken);
  EXPECT_EQ(taken_.back(), "k: a.key 1, renamed, !a.ca 1");
}

TEST_F(MaterialsTest, LinkTurnedToAnotherFileIsTakenAtTheNextAnnouncement) {
  write_file(home_ / "one", "one");
  write_file(home_ / "two", "two");
  std::filesystem::remove(home_ / "a.crt");
  std::filesystem::create_symlink("one", home_ / "a.crt");
  announce_until_settled();
  std::filesystem::create_symlink("two", home_ / "link");
  std::filesystem::rename(home_ / "link", home_ / "a.crt");
  EXPECT_EQ(announce(), Outcome::kTaken);
  EXPECT_EQ(taken_.back(), "k: a.key 1, two, !a.ca 1");
}

TEST_F(MaterialsTest, TextInThePacketIsTakenOnceAndWhenItChanges) {
  EXPECT_EQ(announce_text("k", kPem), Outcome::kTaken);
  EXPECT_EQ(announce_text("k", kPem), Outcome::kUnchanged);
  EXPECT_EQ(announce_text("k", std::string(kPem) + "BBBB"), Outcome::kTaken);
}

TEST_F(MaterialsTest, AnotherClientPolicyIsAChange) {
  Announcement announcement;
  const std::string asked = kPem;
  const std::string demanded = "!" + asked;
  announcement.sni_ca = asked;
  EXPECT_EQ(announce("k", announcement), Outcome::kTaken);
  announcement.sni_ca = demanded;
  EXPECT_EQ(announce("k", announcement), Outcome::kTaken);
}

TEST_F(MaterialsTest, TwoNodesWithTheirOwnMaterialDoNotTakeTurns) {
  for (const char* const name : {"b.key", "b.crt", "b.ca"}) {
    write_file(home_ / name, name);
  }
  announce_until_settled();
  for (int i = 0; i < 1000; ++i) {
    if (announce("k", "b") == Outcome::kUnchanged) break;
    ::usleep(10'000);
  }
  const std::uint64_t reads = materials_.reads();
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(announce("k", "a"), Outcome::kUnchanged);
    EXPECT_EQ(announce("k", "b"), Outcome::kUnchanged);
  }
  EXPECT_EQ(materials_.reads(), reads);
  EXPECT_NE(sources_.front(), sources_.back());
}

TEST_F(MaterialsTest, SourcesOfAKeyAreBounded) {
  const auto text = [](std::size_t i) {
    return std::string(kPem) + std::to_string(i);
  };
  std::vector<std::uint32_t> tags;
  for (std::size_t i = 0; i < Materials::kSourcesMost; ++i) {
    EXPECT_EQ(announce_text("k", text(i)), Outcome::kTaken);
    tags.push_back(tag_);
  }
  const std::size_t over = Materials::kSourcesMost;
  EXPECT_EQ(announce_text("k", text(over)), Outcome::kRefused);
  EXPECT_EQ(announce_text("k", text(over)), Outcome::kStillRefused);
  EXPECT_NE(materials_.problem("k"), "");
  for (std::size_t i = 0; i < over; ++i) {
    EXPECT_EQ(announce_text("k", text(i)), Outcome::kUnchanged)
        << "who is live does not give way";
  }
  EXPECT_EQ(retired_.size(), 0U);
  tags.pop_back();
  clock_.now_ms += kLinger_ms;
  EXPECT_EQ(keep("k", tags), ClientRule::kNone);
  EXPECT_EQ(retired_.size(), 1U);
  EXPECT_EQ(announce_text("k", text(over)), Outcome::kTaken);
  EXPECT_EQ(materials_.problem("k"), "");
}

TEST_F(MaterialsTest, SourceGoesWhenNobodyNamesItAnyMore) {
  EXPECT_EQ(announce_text("k", kPem), Outcome::kTaken);
  const std::uint32_t first = tag_;
  EXPECT_EQ(announce(), Outcome::kTaken);
  const std::uint32_t second = tag_;
  EXPECT_NE(first, second);
  clock_.now_ms += kLinger_ms;
  EXPECT_EQ(keep("k", {first, second}), ClientRule::kDemands);
  EXPECT_THAT(retired_, ElementsAre());
  EXPECT_EQ(keep("k", {second}), ClientRule::kDemands);
  EXPECT_THAT(retired_, ElementsAre(sources_.front()));
  EXPECT_EQ(keep("k", {}), ClientRule::kNone);
  EXPECT_EQ(materials_.key_count(), 0U);
}

TEST_F(MaterialsTest, WhatLingersGivesWayToWhatIsNew) {
  for (std::size_t i = 0; i < 10 * Materials::kSourcesMost; ++i) {
    EXPECT_EQ(announce_text("k", kPem + std::to_string(i)), Outcome::kTaken);
    EXPECT_EQ(keep("k", {tag_}), ClientRule::kNone);
  }
  EXPECT_EQ(retired_.size(), 9 * Materials::kSourcesMost);
}

TEST_F(MaterialsTest, WhatIsNamedAgainIsHandedOverAgain) {
  EXPECT_EQ(announce_text("k", kPem), Outcome::kTaken);
  EXPECT_EQ(announce_text("k", std::string(kPem) + "B"), Outcome::kTaken);
  EXPECT_EQ(keep("k", {tag_}), ClientRule::kNone);
  EXPECT_EQ(announce_text("k", kPem), Outcome::kTakenAgain);
  EXPECT_EQ(taken_.size(), 3U);
  EXPECT_EQ(announce_text("k", kPem), Outcome::kUnchanged);
  EXPECT_EQ(taken_.size(), 3U);
}

TEST_F(MaterialsTest, SourceThatIsNamedInTurnWithAnotherStaysAndThenIsDue) {
  EXPECT_EQ(announce(), Outcome::kTaken);
  EXPECT_EQ(announce_text("k", kPem), Outcome::kTaken);
  const std::uint32_t lax = tag_;
  EXPECT_EQ(keep("k", {lax}), ClientRule::kDemands) << "it was strict just now";
  EXPECT_EQ(keep("k", {lax}), ClientRule::kDemands);
  std::vector<std::string> due;
  const auto look = [&] {
    materials_.for_each_due([&](const std::string& key) { due.push_back(key); });
    return due;
  };
  clock_.now_ms += kLinger_ms - 1;
  EXPECT_THAT(look(), ElementsAre());
  clock_.now_ms += 1;
  EXPECT_THAT(look(), ElementsAre("k"));
  EXPECT_EQ(keep("k", {lax}), ClientRule::kNone);
  EXPECT_THAT(retired_, ElementsAre(sources_.front()));
}

TEST_F(MaterialsTest, ClientsAreJudgedByWhatDemandsThatAndWasTaken) {
  EXPECT_EQ(announce_text("lax", kPem), Outcome::kTaken);
  EXPECT_EQ(keep("lax", {tag_}), ClientRule::kNone);
  EXPECT_EQ(announce(), Outcome::kTaken);
  EXPECT_EQ(keep("k", {tag_}), ClientRule::kDemands);
  guards_ = false;
  EXPECT_EQ(keep("k", {tag_}), ClientRule::kUnusable);
  EXPECT_EQ(keep("unknown", {tag_}), ClientRule::kNone);
}

TEST_F(MaterialsTest, WhatMustNotBeTakenIsNotReadAndToldWhy) {
  Announcement announcement;
  const std::string pem = kPem;
  announcement.sni_crt = pem;
  EXPECT_EQ(announce("k", announcement, "it is not his"), Outcome::kRefused);
  EXPECT_EQ(materials_.problem("k"), "it is not his");
  EXPECT_EQ(materials_.reads(), 0U);
  EXPECT_EQ(announce("k", announcement, "it is not his"), Outcome::kUnchanged);
  EXPECT_EQ(announce("k", announcement), Outcome::kTaken);
}

TEST_F(MaterialsTest, FileThatCannotBeReadIsAProblemAndTakesNothingAway) {
  announce_until_settled();
  std::filesystem::rename(home_ / "a.key", home_ / "b.key");
  EXPECT_EQ(announce(), Outcome::kRefused);
  EXPECT_NE(materials_.problem("k").find("No such file"), std::string::npos);
  EXPECT_EQ(keep("k", {tag_}), ClientRule::kDemands);
  EXPECT_THAT(retired_, ElementsAre());
  std::filesystem::rename(home_ / "b.key", home_ / "a.key");
  EXPECT_EQ(announce(), Outcome::kTaken);
  EXPECT_EQ(materials_.problem("k"), "");
}

TEST_F(MaterialsTest, MarkAloneIsMaterial) {
  Announcement announcement;
  announcement.sni_ca = "!";
  EXPECT_EQ(announce("k", announcement), Outcome::kTaken);
  EXPECT_THAT(taken_, ElementsAre("k: , , !"));
}

TEST_F(MaterialsTest, RefusedMaterialIsShownAndOfferedAgainLater) {
  problem_ = "the key does not fit";
  EXPECT_EQ(announce_text("k", kPem), Outcome::kRefused);
  EXPECT_EQ(materials_.problem("k"), "the key does not fit");
  EXPECT_EQ(materials_.problem_count(), 1U);
  EXPECT_EQ(announce_text("k", kPem), Outcome::kUnchanged);
  clock_.now_ms += Materials::kRetry_ms;
  EXPECT_EQ(announce_text("k", kPem), Outcome::kStillRefused);
  problem_.reset();
  clock_.now_ms += Materials::kRetry_ms;
  EXPECT_EQ(announce_text("k", kPem), Outcome::kTaken);
  EXPECT_EQ(materials_.problem("k"), "");
  EXPECT_EQ(materials_.problem_count(), 0U);
}

TEST_F(MaterialsTest, NothingIsKeptOfAPoolThatIsGone) {
  EXPECT_EQ(announce_text("k", kPem), Outcome::kTaken);
  materials_.on_pool_gone("k");
  EXPECT_EQ(materials_.key_count(), 0U);
  EXPECT_EQ(announce_text("k", kPem), Outcome::kTaken) << "it is new again";
  materials_.on_pool_gone("unknown");
}

TEST_F(MaterialsTest, WhereNobodyServesItNothingIsRead) {
  materials_.set_hooks({});
  EXPECT_EQ(announce(), Outcome::kNothing);
  EXPECT_EQ(materials_.reads(), 0U);
  EXPECT_EQ(materials_.key_count(), 0U);
}

TEST_F(MaterialsTest, FileThatShrinksBetweenLookAndReadIsReadAgain) {
  Announcement announcement;
  const std::string path = home_ / "a.crt";
  announcement.sni_crt = path;
  const auto source =
      files_.open(announcement, Credentials{1, ::getuid(), ::getgid()});
  ASSERT_TRUE(source);
  std::filesystem::resize_file(path, 2);
  EXPECT_EQ(materials_.on_announcement("k", *source), Outcome::kRefused);
  EXPECT_THAT(taken_, ElementsAre());
  EXPECT_EQ(announce("k", announcement), Outcome::kTaken);
}

}  // namespace
}  // namespace fealty::subscription
