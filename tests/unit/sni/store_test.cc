#include "sni/store.h"

#include <gtest/gtest.h>

#include <string>

#include "support.h"

namespace fealty::sni {
namespace {

using test::guarded;
using test::make_ca;
using test::make_certificate;
using test::make_server;
using test::Made;
using test::Texts;
using test::texts_of;
using test::Wish;
using Put = Store::Outcome;

class StoreTest : public testing::Test {
 protected:
  Result<Put, Refusal> put(std::string_view name, const Texts& texts,
                           const Origin& origin = {}) {
    return store_.put(name, texts.pem(), origin);
  }
  const ClientPolicy* policy(std::string_view name) {
    const Identity* const identity = store_.find_exact(name);
    return identity == nullptr ? nullptr : identity->policy().get();
  }
  // The identity that serves `host`, or "-".
  std::string found(std::string_view host) {
    const SnapshotPtr snapshot = store_.build();
    const Identity* const identity = snapshot->find(host);
    return identity == nullptr ? "-" : std::string(identity->key());
  }
  const Credential* credential(std::string_view name, KeyKind kind) {
    const Identity* const identity = store_.find_exact(name);
    if (identity == nullptr) return nullptr;
    return identity->slots()[static_cast<std::size_t>(kind)].get();
  }
  static Texts rsa_texts() {
    Wish wish;
    wish.key = test::make_rsa_key();
    return texts_of(make_certificate(wish));
  }

  test::FakeClock clock_;
  Store store_{clock_};
  Texts texts_ = texts_of(make_server("x"));
  Made ca_ = make_ca("A");
  const Origin one_{1, 1};
  const Origin two_{1, 2};
  const Origin other_key_{2, 1};
};

TEST_F(StoreTest, ExactNameWinsOverWildcards) {
  ASSERT_TRUE(put(".example.com", texts_));
  ASSERT_TRUE(put("www.example.com", texts_));
  ASSERT_TRUE(put(".b.example.com", texts_));
  EXPECT_EQ(found("www.example.com"), "www.example.com");
  EXPECT_EQ(found("other.example.com"), ".example.com");
  EXPECT_EQ(found("a.b.example.com"), ".b.example.com");
  EXPECT_EQ(found("b.example.com"), ".example.com");
  EXPECT_EQ(found("example.org"), "-");
}

TEST_F(StoreTest, WildcardDoesNotServeItsOwnDomainNorWhoAsksForIt) {
  ASSERT_TRUE(put(".example.com", texts_));
  EXPECT_EQ(found("example.com"), "-");
  EXPECT_EQ(found(".example.com"), "-");
  EXPECT_EQ(found("notexample.com"), "-");
  EXPECT_EQ(found(""), "-");
  EXPECT_EQ(found("[::1]"), "-");
}

TEST_F(StoreTest, AtMostFiveWildcardsAreTried) {
  ASSERT_TRUE(put(".example.com", texts_));
  EXPECT_EQ(found("e.d.c.b.a.example.com"), ".example.com");
  EXPECT_EQ(found("f.e.d.c.b.a.example.com"), "-");
}

TEST_F(StoreTest, EqualBytesChangeNothing) {
  ASSERT_EQ(*put("a", texts_), Put::kChanged);
  const auto* const before = store_.find_exact("a");
  (void)store_.build();
  EXPECT_EQ(*put("a", texts_), Put::kUnchanged);
  EXPECT_FALSE(store_.dirty());
  EXPECT_EQ(store_.find_exact("a"), before);
}

TEST_F(StoreTest, NewBytesTakeThePlace) {
  ASSERT_TRUE(put("a", texts_));
  const auto old = IdentityRef::share(store_.find_exact("a"));
  const SnapshotPtr before = store_.build();
  EXPECT_EQ(*put("a", texts_of(make_server("x", 2))), Put::kChanged);
  EXPECT_TRUE(store_.dirty());
  EXPECT_NE(store_.find_exact("a"), old.get());
  EXPECT_EQ(before->find("a"), old.get());
  EXPECT_EQ(store_.size(), 1U);
}

TEST_F(StoreTest, BadMaterialLeavesTheOldAndIsTold) {
  ASSERT_TRUE(put("a", texts_));
  const auto* const before = store_.find_exact("a");
  (void)store_.build();
  Texts bad = texts_of(make_server("x", 2));
  bad.key = texts_.key;
  EXPECT_EQ(put("a", bad).error(), Refusal::kKeyMismatch);
  EXPECT_EQ(store_.find_exact("a"), before);
  EXPECT_FALSE(store_.dirty());
  EXPECT_EQ(store_.problem("a"), Refusal::kKeyMismatch);
  EXPECT_EQ(put("a", bad).error(), Refusal::kKeyMismatch);

  ASSERT_TRUE(put("a", texts_));
  EXPECT_EQ(store_.problem("a"), std::nullopt);
}

TEST_F(StoreTest, ProblemOfANameThatIsNotServedGoesWithIt) {
  Texts bad = texts_;
  bad.key = "";
  EXPECT_FALSE(put("a", bad));
  EXPECT_EQ(store_.problem("a"), Refusal::kNoKey);
  EXPECT_FALSE(store_.remove("a"));
  EXPECT_EQ(store_.problem("a"), std::nullopt);
}

TEST_F(StoreTest, ProblemsAreBounded) {
  Texts bad;
  for (std::size_t i = 0; i < Store::kProblemsMax + 10; ++i) {
    EXPECT_FALSE(put(std::to_string(i), bad));
  }
  EXPECT_EQ(store_.problems(), Store::kProblemsMax);
}

TEST_F(StoreTest, WhatIsNotYetValidIsLookedAtAgain) {
  clock_.now_s -= 7200;
  EXPECT_EQ(put("a", texts_).error(), Refusal::kNotYetValid);
  clock_.now_s += 7200;
  EXPECT_TRUE(put("a", texts_));
}

TEST_F(StoreTest, IdentityGoesWhenTold) {
  ASSERT_TRUE(put("a", texts_));
  EXPECT_TRUE(store_.remove("a"));
  EXPECT_EQ(found("a"), "-");
  EXPECT_EQ(store_.size(), 0U);
  EXPECT_FALSE(store_.remove("a"));
}

TEST_F(StoreTest, NamesAreBounded) {
  EXPECT_EQ(put("", texts_).error(), Refusal::kBadName);
  EXPECT_EQ(put(std::string(256, 'a'), texts_).error(), Refusal::kBadName);
  EXPECT_EQ(put(std::string("a\0b", 3), texts_).error(), Refusal::kBadName);
  EXPECT_TRUE(put(std::string(255, 'a'), texts_));
}

TEST_F(StoreTest, RsaAndEcdsaStandBesideEachOther) {
  const Texts rsa = rsa_texts();
  ASSERT_TRUE(put("a", texts_, one_));
  ASSERT_TRUE(put("a", rsa, two_));
  EXPECT_NE(credential("a", KeyKind::kEc), nullptr);
  EXPECT_NE(credential("a", KeyKind::kRsa), nullptr);
  EXPECT_EQ(*put("a", texts_, one_), Put::kUnchanged);
  EXPECT_EQ(*put("a", rsa, two_), Put::kUnchanged);
  EXPECT_EQ(store_.size(), 1U);
}

TEST_F(StoreTest, RenewalWithAnotherKindOfKeyTakesThePlaceOfTheOld) {
  ASSERT_TRUE(put("a", rsa_texts(), one_));
  ASSERT_TRUE(put("a", texts_, one_));
  EXPECT_EQ(credential("a", KeyKind::kRsa), nullptr);
  EXPECT_NE(credential("a", KeyKind::kEc), nullptr);
}

TEST_F(StoreTest, WhatIsBroughtOnceMoreIsTheLastWord) {
  ASSERT_TRUE(put("a", texts_, one_));
  const Credential* const first = credential("a", KeyKind::kEc);
  ASSERT_TRUE(put("a", texts_of(make_server("y")), two_));
  EXPECT_NE(credential("a", KeyKind::kEc), first);
  EXPECT_EQ(*put("a", texts_, one_), Put::kChanged);
  EXPECT_EQ(credential("a", KeyKind::kEc), first);
}

TEST_F(StoreTest, RetiredCredentialGoesAsSoonAsThereIsAnother) {
  ASSERT_TRUE(put("a", rsa_texts(), one_));
  store_.retire("a", one_);
  EXPECT_NE(credential("a", KeyKind::kRsa), nullptr) << "for want of another";
  Texts bad = texts_;
  bad.key = "";
  EXPECT_FALSE(put("a", bad, two_));
  EXPECT_NE(credential("a", KeyKind::kRsa), nullptr) << "that one serves nobody";
  ASSERT_TRUE(put("a", texts_, two_));
  EXPECT_EQ(credential("a", KeyKind::kRsa), nullptr);
  EXPECT_NE(credential("a", KeyKind::kEc), nullptr);
}

TEST_F(StoreTest, WhatAKeyBroughtGoesWithIt) {
  ASSERT_TRUE(put("a", texts_, one_));
  ASSERT_TRUE(put("a", rsa_texts(), other_key_));
  store_.drop("a", one_.key);
  EXPECT_EQ(credential("a", KeyKind::kEc), nullptr);
  EXPECT_NE(credential("a", KeyKind::kRsa), nullptr);
  store_.drop("a", other_key_.key);
  EXPECT_EQ(found("a"), "-");
  EXPECT_EQ(store_.size(), 0U);
}

TEST_F(StoreTest, OriginsOfANameAreBounded) {
  for (std::uint64_t i = 0; i < Store::kOriginsMax; ++i) {
    ASSERT_TRUE(put("a", texts_, {i, i}));
  }
  EXPECT_EQ(put("a", texts_, {1000, 1000}).error(), Refusal::kTooManyOrigins);
  EXPECT_TRUE(put("a", texts_, {5, 5}));
}

// ------------------------------------------------------ what is wanted of clients

TEST_F(StoreTest, NoOriginTakesAnothersRulesAway) {
  const Made made = make_server("x");
  ASSERT_TRUE(put("a", guarded(made, ca_), one_));
  EXPECT_FALSE(store_.conflict("a"));
  for (const Origin& lax : {two_, other_key_}) {
    ASSERT_TRUE(put("a", texts_of(make_server("y")), lax));
    ASSERT_NE(policy("a"), nullptr);
    EXPECT_TRUE(policy("a")->demands());
    EXPECT_TRUE(store_.conflict("a"));
    ASSERT_TRUE(put("a", guarded(make_server("y"), ca_, false), lax));
    EXPECT_TRUE(policy("a")->demands()) << "asking is less than demanding";
  }
  EXPECT_TRUE(store_.guards("a", one_));
  EXPECT_FALSE(store_.guards("a", two_));
}

TEST_F(StoreTest, RulesGoWithTheLastWhoBroughtThem) {
  ASSERT_TRUE(put("a", guarded(make_server("x"), ca_), one_));
  ASSERT_TRUE(put("a", texts_, two_));
  store_.retire("a", one_);
  EXPECT_EQ(policy("a"), nullptr);
  EXPECT_FALSE(store_.conflict("a"));
  ASSERT_TRUE(put("a", guarded(make_server("x"), ca_), one_)) << "it is back";
  EXPECT_NE(policy("a"), nullptr);
}

TEST_F(StoreTest, OwnRulesMayBecomeLaxer) {
  ASSERT_TRUE(put("a", guarded(make_server("x"), ca_), one_));
  ASSERT_TRUE(put("a", texts_, one_));
  EXPECT_EQ(policy("a"), nullptr);
  EXPECT_FALSE(store_.conflict("a"));
}

TEST_F(StoreTest, OfDifferentCasThoseInCommonCount) {
  const Made b = make_ca("B");
  const Made c = make_ca("C");
  Texts ab = guarded(make_server("x"), ca_);
  ab.client_ca += b.pem();
  Texts bc = guarded(make_server("x"), b, false);
  bc.client_ca += c.pem();
  ASSERT_TRUE(put("a", ab, one_));
  ASSERT_TRUE(put("a", bc, two_));
  ClientPolicies policies;
  const auto only_b = ClientPolicy::parse({b.pem(), "", true, 2}, policies);
  ASSERT_TRUE(only_b);
  EXPECT_TRUE(same_policy(policy("a"), only_b->get()));
}

TEST_F(StoreTest, RulesCountThoughTheirCertificateDoesNot) {
  ASSERT_TRUE(put("a", texts_, one_));
  Texts bad = guarded(make_server("x"), ca_);
  bad.key = texts_.key;
  EXPECT_EQ(put("a", bad, one_).error(), Refusal::kKeyMismatch);
  ASSERT_NE(policy("a"), nullptr);
  EXPECT_TRUE(policy("a")->demands());
  EXPECT_TRUE(store_.guards("a", one_));
  EXPECT_EQ(put("b", bad, one_).error(), Refusal::kKeyMismatch);
  EXPECT_FALSE(store_.guards("b", one_)) << "nothing is served under that name";
}

TEST_F(StoreTest, RulesThatCannotBeReadLeaveTheOld) {
  ASSERT_TRUE(put("a", guarded(make_server("x"), ca_), one_));
  Texts bad = texts_;
  bad.client_ca = "garbage";
  bad.demanded = true;
  EXPECT_EQ(put("a", bad, one_).error(), Refusal::kBadClientCa);
  ASSERT_NE(policy("a"), nullptr);
  EXPECT_TRUE(store_.guards("a", one_));
  EXPECT_FALSE(put("b", bad, one_));
  EXPECT_FALSE(store_.guards("b", one_));
}

TEST_F(StoreTest, DemandWithoutACaIsRefused) {
  Texts texts = texts_;
  texts.demanded = true;
  EXPECT_EQ(put("a", texts).error(), Refusal::kBadClientCa);
}

TEST_F(StoreTest, VersionsRise) {
  const auto first = store_.build()->version();
  EXPECT_GT(store_.build()->version(), first);
}

TEST_F(StoreTest, ThousandNamesAreFoundAndGo) {
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(put(std::to_string(i), texts_));
  const SnapshotPtr all = store_.build();
  EXPECT_EQ(all->count(), 1000U);
  for (int i = 0; i < 1000; i += 2) {
    EXPECT_TRUE(store_.remove(std::to_string(i)));
  }
  EXPECT_EQ(store_.build()->count(), 500U);
  EXPECT_EQ(store_.size(), 500U);
  EXPECT_NE(all->find("0"), nullptr);
  EXPECT_EQ(found("0"), "-");
  EXPECT_EQ(found("1"), "1");
}

}  // namespace
}  // namespace fealty::sni
