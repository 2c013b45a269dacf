#include "sni/credential.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "support.h"

namespace fealty::sni {
namespace {

using test::make_certificate;
using test::make_key;
using test::Made;
using test::pem_of_key;
using test::Wish;

class CredentialTest : public testing::Test {
 protected:
  Result<CredentialRef, Refusal> parse(const std::string& chain,
                                       const std::string& key) {
    return Credential::parse(chain, key, now_s_, chains_, budget_);
  }
  Result<CredentialRef, Refusal> parse(const Made& made) {
    return parse(made.pem(), made.key_pem());
  }
  // "" where it is accepted.
  std::string why_not(const std::string& chain, const std::string& key) {
    const auto made = parse(chain, key);
    return made ? "" : std::string(text_of(made.error()));
  }
  std::string why_not(const Made& made) {
    return why_not(made.pem(), made.key_pem());
  }
  static std::string text(Refusal why) { return std::string(text_of(why)); }

  std::int64_t now_s_ = std::time(nullptr);
  Chains chains_;
  Ref<const MaterialBudget> budget_ =
      Ref<const MaterialBudget>::adopt(new MaterialBudget(1 << 20));
};

Wish with_key(std::shared_ptr<EVP_PKEY> key) {
  Wish wish;
  wish.key = std::move(key);
  return wish;
}

TEST_F(CredentialTest, EcdsaIsKeptInShortForm) {
  for (const char* const curve : {"P-256", "P-384", "P-521"}) {
    const auto made = parse(make_certificate(with_key(make_key(curve))));
    ASSERT_TRUE(made) << curve << text_of(made.error());
    EXPECT_TRUE((*made)->is_short()) << curve;
    EXPECT_EQ((*made)->kind(), KeyKind::kEc);
    EXPECT_LT((*made)->bytes(), 1024U);
  }
}

TEST_F(CredentialTest, RsaAndEd25519AreServedAsTheyAre) {
  const auto rsa = parse(make_certificate(with_key(test::make_rsa_key())));
  ASSERT_TRUE(rsa);
  EXPECT_EQ((*rsa)->kind(), KeyKind::kRsa);
  EXPECT_FALSE((*rsa)->is_short());
  const auto ed = parse(make_certificate(with_key(test::make_ed25519_key())));
  ASSERT_TRUE(ed) << text_of(ed.error());
  EXPECT_EQ((*ed)->kind(), KeyKind::kEc);
}

TEST_F(CredentialTest, KeysOfBothSpellingsAreRead) {
  for (const auto& key : {make_key(), test::make_rsa_key()}) {
    const Made made = make_certificate(with_key(key));
    EXPECT_EQ(why_not(made.pem(), pem_of_key(key.get())), "");
    EXPECT_EQ(why_not(made.pem(), test::pem_of_key_traditional(key.get())), "");
  }
}

TEST_F(CredentialTest, KeyMayStandBesideItsParametersAndCertificates) {
  const Made made = make_certificate({});
  const std::string parameters =
      "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
      "-----END EC PARAMETERS-----\n";
  EXPECT_EQ(why_not(made.pem(), parameters + made.key_pem()), "");
  const std::string all = made.key_pem() + made.pem();
  EXPECT_EQ(why_not(all, all), "");
}

TEST_F(CredentialTest, WhatIsNoPemIsRefused) {
  const Made made = make_certificate({});
  const std::string key = made.key_pem();
  EXPECT_EQ(why_not("", key), text(Refusal::kNoCertificate));
  EXPECT_EQ(why_not("garbage", key), text(Refusal::kNoCertificate));
  EXPECT_EQ(why_not(key, key), text(Refusal::kNoCertificate));
  EXPECT_EQ(why_not("-----BEGIN CERTIFICATE-----", key),
            text(Refusal::kNotPem));
  EXPECT_EQ(why_not(made.pem(), ""), text(Refusal::kNoKey));
  EXPECT_EQ(why_not(made.pem(), made.pem()), text(Refusal::kNoKey));
  EXPECT_EQ(why_not(std::string(kPemBytesMax + 1, ' '), key),
            text(Refusal::kTooLarge));
  EXPECT_EQ(why_not(made.pem(), std::string(kPemBytesMax + 1, ' ')),
            text(Refusal::kTooLarge));
}

TEST_F(CredentialTest, DerThatIsNotWholeIsRefused) {
  const Made made = make_certificate({});
  const std::string junk = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n"
                           "-----END CERTIFICATE-----\n";
  EXPECT_EQ(why_not(junk, made.key_pem()), text(Refusal::kBadCertificate));
  EXPECT_EQ(why_not(made.pem() + junk, made.key_pem()),
            text(Refusal::kBadCertificate));
  EXPECT_EQ(why_not(made.pem(), "-----BEGIN PRIVATE KEY-----\nMAMCAQE=\n"
                                "-----END PRIVATE KEY-----\n"),
            text(Refusal::kBadKey));
  // One byte more than the certificate has.
  auto der = certificates_in(made.pem(), 1);
  ASSERT_TRUE(der);
  const auto bytes = (*der)[0].span();
  EXPECT_NE(parse_certificate(bytes), nullptr);
  const std::vector<unsigned char> longer = [&] {
    std::vector<unsigned char> copy(bytes.begin(), bytes.end());
    copy.push_back(0);
    return copy;
  }();
  EXPECT_EQ(parse_certificate(longer), nullptr);
}

TEST_F(CredentialTest, KeyOfAnotherCertificateIsRefused) {
  const Made made = make_certificate({});
  const auto rsa = test::make_rsa_key();
  const Made rsa_made = make_certificate(with_key(rsa));
  const std::string mismatch = text(Refusal::kKeyMismatch);
  EXPECT_EQ(why_not(made.pem(), pem_of_key(make_key().get())), mismatch);
  EXPECT_EQ(why_not(made.pem(), pem_of_key(make_key("P-384").get())), mismatch);
  EXPECT_EQ(why_not(made.pem(), pem_of_key(rsa.get())), mismatch);
  EXPECT_EQ(why_not(rsa_made.pem(), pem_of_key(test::make_rsa_key().get())),
            mismatch);
  EXPECT_EQ(why_not(rsa_made.pem(), pem_of_key(make_key().get())), mismatch);
}

TEST_F(CredentialTest, SeveralKeysAreRefused) {
  const Made made = make_certificate({});
  EXPECT_EQ(why_not(made.pem(), made.key_pem() + pem_of_key(make_key().get())),
            text(Refusal::kSeveralKeys));
}

TEST_F(CredentialTest, EncryptedKeysAreRefusedWithoutAskingAnybody) {
  const Made made = make_certificate({});
  for (const bool traditional : {false, true}) {
    BIO* const memory = BIO_new(BIO_s_mem());
    const auto* const word = bytes_at("secret");
    if (traditional) {
      ASSERT_EQ(PEM_write_bio_PrivateKey_traditional(
                    memory, made.key.get(), EVP_aes_128_cbc(), word, 6,
                    nullptr, nullptr), 1);
    } else {
      ASSERT_EQ(PEM_write_bio_PrivateKey(memory, made.key.get(),
                                         EVP_aes_128_cbc(), word, 6, nullptr,
                                         nullptr), 1);
    }
    EXPECT_EQ(why_not(made.pem(), test::text_of_bio(memory)),
              text(Refusal::kEncryptedKey));
  }
}

TEST_F(CredentialTest, DatesAreLookedAt) {
  Wish wish;
  wish.until_s = 100;
  const Made made = make_certificate(wish);
  EXPECT_EQ(why_not(made), "");
  now_s_ += 200;
  EXPECT_EQ(why_not(made), text(Refusal::kExpired));
  now_s_ -= 7200;
  EXPECT_EQ(why_not(made), text(Refusal::kNotYetValid));
}

TEST_F(CredentialTest, LastDayIsKnown) {
  Wish wish;
  wish.until_s = 1000;
  const auto made = parse(make_certificate(wish));
  ASSERT_TRUE(made);
  EXPECT_NEAR(static_cast<double>((*made)->not_after_s() - now_s_), 1000, 5);
}

TEST_F(CredentialTest, WeakAndUnusualKeysAreRefused) {
  const auto refused_key = [&](std::shared_ptr<EVP_PKEY> key) {
    return why_not(make_certificate(with_key(std::move(key))));
  };
  EXPECT_EQ(refused_key(test::make_rsa_key(1024)), text(Refusal::kWeakKey));
  EXPECT_EQ(refused_key(test::make_rsa_key(2040)), text(Refusal::kWeakKey));
  EXPECT_EQ(refused_key(test::key_in("rsa-4104.key")),
            text(Refusal::kUnusualKey));
  EXPECT_EQ(refused_key(make_key("P-224")), text(Refusal::kWeakKey));
  EXPECT_EQ(refused_key(make_key("secp256k1")), text(Refusal::kWeakKey));
}

TEST_F(CredentialTest, WeakDigestsAreRefusedInTheWholeChain) {
  Wish weak;
  weak.digest = EVP_sha1();
  EXPECT_EQ(why_not(make_certificate(weak)), text(Refusal::kWeakDigest));
  weak.key = test::make_rsa_key();
  weak.digest = EVP_md5();
  EXPECT_EQ(why_not(make_certificate(weak)), text(Refusal::kWeakDigest));
  const Made root = test::make_ca("root");
  Wish sub;
  sub.subject = {{"CN", "sub"}};
  sub.issuer = &root;
  sub.digest = EVP_sha1();
  const Made made = make_certificate({});
  EXPECT_EQ(why_not(made.pem() + make_certificate(sub).pem(), made.key_pem()),
            text(Refusal::kWeakDigest));
}

// Nobody relies on a root's own signature; many are older than SHA-256.
TEST_F(CredentialTest, RootAtTheEndOfAChainMayBeOld) {
  Wish old;
  old.digest = EVP_sha1();
  const Made root = make_certificate(old);
  Wish wish;
  wish.issuer = &root;
  const Made made = make_certificate(wish);
  EXPECT_EQ(why_not(made.pem() + root.pem(), made.key_pem()), "");
}

TEST_F(CredentialTest, ChainWithAShortIntermediateKeyIsRefused) {
  const Made weak = make_certificate(with_key(test::make_rsa_key(1024)));
  Wish wish;
  wish.issuer = &weak;
  const Made made = make_certificate(wish);
  EXPECT_EQ(why_not(made.pem() + weak.pem(), made.key_pem()),
            text(Refusal::kRefusedByTls));
}

TEST_F(CredentialTest, EachOfAChainHasSignedTheOneBefore) {
  const Made root = test::make_ca("root");
  Wish wish;
  wish.subject = {{"CN", "sub"}};
  wish.issuer = &root;
  wish.is_ca = true;
  const Made sub = make_certificate(wish);
  Wish leaf_wish;
  leaf_wish.issuer = &sub;
  const Made leaf = make_certificate(leaf_wish);
  const std::string key = leaf.key_pem();
  EXPECT_EQ(why_not(leaf.pem() + sub.pem() + root.pem(), key), "");
  EXPECT_EQ(why_not(leaf.pem() + sub.pem(), key), "");
  const std::string broken(text(Refusal::kBrokenChain));
  EXPECT_EQ(why_not(leaf.pem() + root.pem(), key), broken);
  EXPECT_EQ(why_not(leaf.pem() + root.pem() + sub.pem(), key), broken);
  EXPECT_EQ(why_not(leaf.pem() + test::make_ca("other").pem(), key), broken);
  wish.key = nullptr;
  const Made namesake = make_certificate(wish);
  EXPECT_EQ(why_not(leaf.pem() + namesake.pem(), key), broken);
}

TEST_F(CredentialTest, IntermediateThatIsOutOfDateIsToldAndTheFirstEndCounts) {
  const Made root = test::make_ca("root");
  const auto chain_until = [&](long from_s, long until_s, std::string& key) {
    Wish wish;
    wish.subject = {{"CN", "sub"}};
    wish.issuer = &root;
    wish.is_ca = true;
    wish.from_s = from_s;
    wish.until_s = until_s;
    const Made sub = make_certificate(wish);
    Wish leaf_wish;
    leaf_wish.issuer = &sub;
    const Made leaf = make_certificate(leaf_wish);
    key = leaf.key_pem();
    return leaf.pem() + sub.pem() + root.pem();
  };
  std::string key;
  const std::string out_of_date(text(Refusal::kChainOutOfDate));
  std::string chain = chain_until(-3600, -60, key);
  EXPECT_EQ(why_not(chain, key), out_of_date);
  chain = chain_until(3600, 7200, key);
  EXPECT_EQ(why_not(chain, key), out_of_date);
  chain = chain_until(-3600, 5000, key);
  const auto made = parse(chain, key);
  ASSERT_TRUE(made);
  EXPECT_NEAR(static_cast<double>((*made)->not_after_s()),
              static_cast<double>(now_s_ + 5000), 60.0);
}

TEST_F(CredentialTest, CertificateForClientsIsNotServed) {
  Wish wish;
  wish.uses = "clientAuth";
  const Made client = make_certificate(wish);
  EXPECT_EQ(why_not(client.pem(), client.key_pem()),
            text(Refusal::kNotForServers));
  for (const char* const uses : {"serverAuth,clientAuth", "anyExtendedKeyUsage"}) {
    wish.uses = uses;
    const Made server = make_certificate(wish);
    EXPECT_EQ(why_not(server.pem(), server.key_pem()), "") << uses;
  }
}

TEST_F(CredentialTest, WhichHostsItNamesIsKnown) {
  Wish wish;
  wish.subject = {{"CN", "a.test"}};
  for (const auto& key : {test::make_key(), test::make_rsa_key()}) {
    wish.key = key;
    const Made made = make_certificate(wish);
    const auto parsed = parse(made.pem(), made.key_pem());
    ASSERT_TRUE(parsed);
    EXPECT_TRUE((*parsed)->names("a.test"));
    EXPECT_FALSE((*parsed)->names("b.test"));
  }
}

TEST_F(CredentialTest, ChainsAreBounded) {
  const Made made = make_certificate({});
  std::string chain;
  for (std::size_t i = 0; i < kChainMax; ++i) chain += made.pem();
  EXPECT_EQ(why_not(chain, made.key_pem()), "");
  EXPECT_EQ(why_not(chain + made.pem(), made.key_pem()),
            text(Refusal::kTooManyCertificates));
}

TEST_F(CredentialTest, IntermediatesAreSharedAndGoWithTheirLastUser) {
  const Made ca = test::make_ca("CA");
  std::vector<CredentialRef> all;
  for (int i = 0; i < 20; ++i) {
    Wish wish;
    wish.issuer = &ca;
    const Made made = make_certificate(wish);
    const auto parsed = parse(made.pem() + ca.pem(), made.key_pem());
    ASSERT_TRUE(parsed);
    all.push_back(*parsed);
  }
  EXPECT_EQ(chains_.size(), 1U);
  chains_.sweep();
  EXPECT_EQ(chains_.size(), 1U);
  all.clear();
  chains_.sweep();
  EXPECT_EQ(chains_.size(), 0U);
}

class Slot {
 public:
  [[nodiscard]] SSL* get() const { return ssl_.get(); }
  [[nodiscard]] std::string name() const {
    return test::common_name(SSL_get_certificate(ssl_.get()));
  }

 private:
  SslContextPtr context_{SSL_CTX_new(TLS_server_method())};
  SslPtr ssl_{SSL_new(context_.get())};
};

TEST_F(CredentialTest, MaterialIsKeptAsFarAsTheBudgetReaches) {
  const auto first = parse(make_certificate({}));
  const auto second = parse(make_certificate({}));
  ASSERT_TRUE(first && second);
  const std::int64_t before = budget_->left();
  const Slot slot;
  ASSERT_TRUE((*first)->apply(slot.get()));
  const std::int64_t cost = before - budget_->left();
  EXPECT_GT(cost, 3000);
  ASSERT_TRUE((*first)->apply(slot.get()));
  EXPECT_EQ(budget_->left(), before - cost);

  budget_->charge(budget_->left());
  ASSERT_TRUE((*second)->apply(slot.get()));
  EXPECT_EQ(slot.name(), "x");
  EXPECT_EQ(budget_->left(), 0);
}

TEST_F(CredentialTest, BudgetGetsBackWhatWasKept) {
  const std::int64_t before = budget_->left();
  {
    const auto made = parse(make_certificate({}));
    ASSERT_TRUE(made);
    const Slot slot;
    ASSERT_TRUE((*made)->apply(slot.get()));
    EXPECT_LT(budget_->left(), before);
  }
  EXPECT_EQ(budget_->left(), before);
}

TEST_F(CredentialTest, OtherEncodingsOfACertificateAreServedAsTheyCame) {
  // A version that is there though it is the default: no DER, and OpenSSL
  // would leave it out.
  const Made made = make_certificate({});
  auto der = certificates_in(made.pem(), 1);
  ASSERT_TRUE(der);
  const CertificatePtr parsed = parse_certificate((*der)[0].span());
  ASSERT_NE(parsed, nullptr);
  EXPECT_TRUE(encodes_to(parsed.get(), (*der)[0].span()));
  std::vector<unsigned char> other((*der)[0].span().begin(),
                                   (*der)[0].span().end());
  other.back() ^= 1;
  EXPECT_FALSE(encodes_to(parsed.get(), other));
}

// Run under ThreadSanitizer: many workers may be the first.
TEST_F(CredentialTest, WorkersMayMakeTheMaterialAtTheSameTime) {
  const auto made = parse(make_certificate({}));
  ASSERT_TRUE(made);
  const std::int64_t before = budget_->left();
  std::vector<std::thread> workers;
  for (int i = 0; i < 4; ++i) {
    workers.emplace_back([&] {
      const Slot slot;
      for (int n = 0; n < 50; ++n) EXPECT_TRUE((*made)->apply(slot.get()));
    });
  }
  for (auto& worker : workers) worker.join();
  const std::int64_t taken = before - budget_->left();
  EXPECT_GT(taken, 3000);
  EXPECT_LT(taken, 8000);
}

}  // namespace
}  // namespace fealty::sni
