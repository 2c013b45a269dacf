#include "subscription/verify.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "support.h"

namespace fealty::subscription {
namespace {

using test::FakeClock;
using test::plain_pairs;
using test::Signer;
using test::TempDir;
using test::vector_file;
using test::write_file;

constexpr auto kSocket = "/containers/a/run/app.sock";
constexpr std::int64_t kNow_s = 1'795'308'705;

class VerifyTest : public testing::Test {
 protected:
  VerifyTest() { secure(Digest::kSha1); }

  void secure(Digest digest) {
    options_.sign_check = SignCheck{};
    options_.sign_check->digest = digest;
    options_.sign_check->keys = keys_.path();
    verifier_.emplace(options_, clock_);
  }

  void give_key(const std::string& name, const Signer& signer) {
    write_file(keys_ / (name + ".pem"), signer.public_pem());
  }

  std::string outcome(std::string_view packet,
                      std::optional<Credentials> sender = {}) {
    const auto announcement = parse_announcement(packet);
    EXPECT_TRUE(announcement);
    if (!announcement) return "undecodable";
    const auto accepted = verifier_->check(*announcement, {sender, from_});
    return std::string(accepted ? "accepted" : to_string(accepted.error()));
  }

  std::string outcome_of(const Signer& signer, const std::string& key,
                         std::int64_t unix_s = kNow_s) {
    return outcome(signer.packet(plain_pairs(key, kSocket), unix_s));
  }

  std::string address_outcome(const std::string& address) {
    return outcome(test::encode(plain_pairs("example.com", address)));
  }

  TempDir keys_;
  FakeClock clock_;
  Address from_;
  Options options_;
  std::optional<Verifier> verifier_;
};

TEST_F(VerifyTest, CapturedPacketsVerify) {
  write_file(keys_ / ".bar.example.com.pem", vector_file("customer.pub"));
  EXPECT_EQ(outcome(vector_file("signed.0.bin")), "accepted");
  EXPECT_EQ(outcome(vector_file("signed.1.bin")), "accepted");
}

TEST_F(VerifyTest, EveryChangedByteIsForged) {
  write_file(keys_ / ".bar.example.com.pem", vector_file("customer.pub"));
  const std::string packet = vector_file("signed.0.bin");
  const auto decoded = parse_announcement(packet);
  ASSERT_TRUE(decoded);
  const std::string_view view = packet;
  // A digit of the weight, a byte of a field that is ignored, the signature's
  // first and last byte.
  for (const std::size_t at :
       {view.find("weight") + 8, view.find("/tmp/cap/a.crt"),
        packet.size() - decoded->signature.size(), packet.size() - 1}) {
    std::string forged = packet;
    forged[at] = static_cast<char>(forged[at] ^ 1);
    EXPECT_EQ(outcome(forged), "bad-signature") << at;
  }
}

TEST_F(VerifyTest, UnsignedIsRefused) {
  write_file(keys_ / "foo.example.com.pem", vector_file("customer.pub"));
  EXPECT_EQ(outcome(vector_file("plain.0.bin")), "unsigned");
  auto pairs = plain_pairs("foo.example.com", kSocket);
  pairs.emplace_back("sign", "");
  EXPECT_EQ(outcome(test::encode(pairs)), "unsigned");
}

TEST_F(VerifyTest, WithoutSignCheckUnsignedCounts) {
  options_.sign_check.reset();
  Verifier open(options_, clock_);
  const std::string packet = vector_file("plain.0.bin");
  EXPECT_TRUE(open.check(*parse_announcement(packet), {}));
}

TEST_F(VerifyTest, StampCountsWithinTheToleranceBothWays) {
  const Signer signer = Signer::customer();
  give_key("example.com", signer);
  EXPECT_EQ(outcome_of(signer, "example.com", kNow_s - 60), "accepted");
  EXPECT_EQ(outcome_of(signer, "example.com", kNow_s - 61), "stale");
  EXPECT_EQ(outcome_of(signer, "example.com", kNow_s + 60), "accepted");
  EXPECT_EQ(outcome_of(signer, "example.com", kNow_s + 61), "stale");
  EXPECT_EQ(outcome_of(signer, "example.com", 0), "stale");
  EXPECT_EQ(outcome_of(signer, "example.com", 253'402'300'799), "stale");
}

TEST_F(VerifyTest, SignedPacketWithoutStampIsStale) {
  const Signer signer = Signer::customer();
  give_key("example.com", signer);
  auto pairs = plain_pairs("example.com", kSocket);
  const std::string bare = test::encode(pairs);
  pairs.emplace_back("sign",
                     signer.sign(std::string_view(bare).substr(4), "SHA1"));
  EXPECT_EQ(outcome(test::encode(pairs)), "stale");
}

TEST_F(VerifyTest, UnsubscribeSignsTheNextSecondAndCounts) {
  const Signer signer = Signer::customer();
  give_key("example.com", signer);
  EXPECT_EQ(outcome(signer.packet(plain_pairs("example.com", kSocket),
                                  kNow_s + 1, "SHA1", 1)),
            "accepted");
}

TEST_F(VerifyTest, DomainWithoutKeyIsRefused) {
  EXPECT_EQ(outcome_of(Signer::customer(), "example.com"), "no-key");
}

TEST_F(VerifyTest, AnotherDomainsKeyDoesNotCount) {
  const Signer mine = Signer::customer();
  const Signer theirs = Signer::ed25519();
  give_key("mine.example.com", mine);
  give_key("theirs.example.com", theirs);
  EXPECT_EQ(outcome_of(mine, "theirs.example.com"), "bad-signature");
}

TEST_F(VerifyTest, ChangedKeyCountsAtTheNextPacket) {
  const Signer old_key = Signer::customer();
  const Signer new_key = Signer::rsa(2048);
  give_key("example.com", old_key);
  EXPECT_EQ(outcome_of(old_key, "example.com"), "accepted");
  EXPECT_EQ(outcome_of(old_key, "example.com"), "accepted");
  give_key("example.com", new_key);  // of the same length, within one tick
  EXPECT_EQ(outcome_of(old_key, "example.com"), "bad-signature");
  EXPECT_EQ(outcome_of(new_key, "example.com"), "accepted");
}

TEST_F(VerifyTest, KeyRenamedIntoPlaceCountsAtTheNextPacket) {
  const Signer old_key = Signer::customer();
  const Signer new_key = Signer::rsa(2048);
  give_key("example.com", old_key);
  give_key("next", new_key);
  EXPECT_EQ(outcome_of(old_key, "example.com"), "accepted");
  std::filesystem::rename(keys_ / "next.pem", keys_ / "example.com.pem");
  EXPECT_EQ(outcome_of(old_key, "example.com"), "bad-signature");
  EXPECT_EQ(outcome_of(new_key, "example.com"), "accepted");
}

TEST_F(VerifyTest, RemovedKeyRefuses) {
  const Signer signer = Signer::customer();
  give_key("example.com", signer);
  EXPECT_EQ(outcome_of(signer, "example.com"), "accepted");
  std::filesystem::remove(keys_ / "example.com.pem");
  EXPECT_EQ(outcome_of(signer, "example.com"), "no-key");
}

TEST_F(VerifyTest, SymlinkedKeyIsRead) {
  const Signer signer = Signer::customer();
  give_key("shared", signer);
  std::filesystem::create_symlink("shared.pem", keys_ / "example.com.pem");
  EXPECT_EQ(outcome_of(signer, "example.com"), "accepted");
}

// The vectors' key is an old file, which is kept once it was read.
TEST_F(VerifyTest, KeptKeyCountsUntilItsFileIsAnotherOne) {
  const Signer old_key = Signer::customer();
  const Signer new_key = Signer::rsa(2048);
  const std::string link = keys_ / "example.com.pem";
  give_key("next", new_key);
  std::filesystem::create_symlink(test::vector_path("customer.pub"), link);
  EXPECT_EQ(outcome_of(old_key, "example.com"), "accepted");
  EXPECT_EQ(outcome_of(old_key, "example.com"), "accepted");
  std::filesystem::remove(link);
  EXPECT_EQ(outcome_of(old_key, "example.com"), "no-key");
  std::filesystem::create_symlink("next.pem", link);
  EXPECT_EQ(outcome_of(old_key, "example.com"), "bad-signature");
  EXPECT_EQ(outcome_of(new_key, "example.com"), "accepted");
}

TEST_F(VerifyTest, WildcardsKeySpeaksForNamesWithoutTheirOwn) {
  const Signer wildcard = Signer::customer();
  give_key(".example.com", wildcard);
  EXPECT_EQ(outcome_of(wildcard, ".example.com"), "accepted");
  EXPECT_EQ(outcome_of(wildcard, "foo.example.com"), "accepted");
  EXPECT_EQ(outcome_of(wildcard, "foo.example.com:8080"), "accepted");
  EXPECT_EQ(outcome_of(wildcard, "a.b.c.example.com"), "accepted");
  EXPECT_EQ(outcome_of(wildcard, "example.com"), "no-key");
  EXPECT_EQ(outcome_of(wildcard, "fooexample.com"), "no-key");
  EXPECT_EQ(outcome_of(wildcard, ".com"), "no-key");
}

TEST_F(VerifyTest, DomainsKeySpeaksForItsPortsWithoutTheirOwn) {
  const Signer domain = Signer::customer();
  const Signer port = Signer::rsa(2048);
  give_key("example.com", domain);
  give_key("example.com_8080", port);
  EXPECT_EQ(outcome_of(domain, "example.com:9090"), "accepted");
  EXPECT_EQ(outcome_of(port, "example.com:8080"), "accepted");
  EXPECT_EQ(outcome_of(domain, "example.com:8080"), "bad-signature");
  EXPECT_EQ(outcome_of(port, "example.com"), "bad-signature");
  EXPECT_EQ(outcome_of(port, "example.com:9090"), "bad-signature");
}

TEST_F(VerifyTest, OwnKeyKeepsTheWildcardsAway) {
  const Signer wildcard = Signer::customer();
  const Signer own = Signer::ed25519();
  give_key(".example.com", wildcard);
  give_key("foo.example.com", own);
  EXPECT_EQ(outcome_of(wildcard, "foo.example.com"), "bad-signature");
}

TEST_F(VerifyTest, UnreadableOwnKeyKeepsTheWildcardsAway) {
  const Signer wildcard = Signer::customer();
  give_key(".example.com", wildcard);
  write_file(keys_ / "garbage.example.com.pem", "no key at all");
  std::filesystem::create_directory(keys_ / "dir.example.com.pem");
  EXPECT_EQ(outcome_of(wildcard, "garbage.example.com"), "no-key");
  EXPECT_EQ(outcome_of(wildcard, "dir.example.com"), "no-key");
}

TEST_F(VerifyTest, ExactKeyDoesNotSpeakForTheWildcard) {
  const Signer own = Signer::customer();
  give_key("example.com", own);
  give_key("foo.example.com", own);
  EXPECT_EQ(outcome_of(own, ".example.com"), "no-key");
  EXPECT_EQ(outcome_of(own, "bar.foo.example.com"), "no-key");
}

TEST_F(VerifyTest, NearestWildcardsKeyCounts) {
  const Signer far = Signer::customer();
  const Signer near = Signer::ed25519();
  give_key(".example.com", far);
  give_key(".b.example.com", near);
  EXPECT_EQ(outcome_of(far, "a.b.example.com"), "bad-signature");
  EXPECT_EQ(outcome(near.packet(plain_pairs("a.b.example.com", kSocket), kNow_s,
                                nullptr)),
            "accepted");
}

TEST_F(VerifyTest, PipeInPlaceOfAKeyDoesNotHang) {
  ASSERT_EQ(::mkfifo((keys_ / "example.com.pem").c_str(), 0600), 0);
  EXPECT_EQ(outcome_of(Signer::customer(), "example.com"), "no-key");
}

TEST_F(VerifyTest, OverlargeKeyFileIsRefused) {
  const Signer signer = Signer::customer();
  std::string pem = signer.public_pem();
  pem.resize(PublicKeys::kFileBytesMax, '\n');
  write_file(keys_ / "example.com.pem", pem);
  EXPECT_EQ(outcome_of(signer, "example.com"), "accepted");
  write_file(keys_ / "example.com.pem", pem + "\n");
  EXPECT_EQ(outcome_of(signer, "example.com"), "no-key");
}

TEST_F(VerifyTest, OverlargeSignatureIsRefusedUnseen) {
  give_key("example.com", Signer::customer());
  auto pairs = plain_pairs("example.com", kSocket);
  pairs.emplace_back("unix", std::to_string(kNow_s));
  pairs.emplace_back("sign", std::string(1025, 's'));
  EXPECT_EQ(outcome(test::encode(pairs)), "bad-signature");
}

TEST_F(VerifyTest, OtherDigestsCount) {
  const Signer signer = Signer::customer();
  give_key("example.com", signer);
  const auto packet = [&](const char* digest) {
    return signer.packet(plain_pairs("example.com", kSocket), kNow_s, digest);
  };
  EXPECT_EQ(outcome(packet("SHA256")), "bad-signature");
  secure(Digest::kSha256);
  EXPECT_EQ(outcome(packet("SHA256")), "accepted");
  EXPECT_EQ(outcome(packet("SHA1")), "bad-signature");
  secure(Digest::kSha512);
  EXPECT_EQ(outcome(packet("SHA512")), "accepted");
}

TEST_F(VerifyTest, OtherKindsOfKeysCount) {
  secure(Digest::kSha256);
  const Signer ec = Signer::ec("P-256");
  const Signer ed = Signer::ed25519();
  give_key("ec.example.com", ec);
  give_key("ed.example.com", ed);
  EXPECT_EQ(outcome(ec.packet(plain_pairs("ec.example.com", kSocket), kNow_s,
                              "SHA256")),
            "accepted");
  EXPECT_EQ(outcome(ed.packet(plain_pairs("ed.example.com", kSocket), kNow_s,
                              nullptr)),
            "accepted");
  EXPECT_EQ(outcome(ed.packet(plain_pairs("ec.example.com", kSocket), kNow_s,
                              nullptr)),
            "bad-signature");
}

TEST_F(VerifyTest, TrustedUidNeedsNoSignature) {
  options_.sign_check->skip_uids = {33, 34};
  const std::string packet = vector_file("plain.0.bin");
  EXPECT_EQ(outcome(packet, Credentials{1, 33, 33}), "accepted");
  EXPECT_EQ(outcome(packet, Credentials{1, 34, 99}), "accepted");
  EXPECT_EQ(outcome(packet, Credentials{1, 35, 33}), "unsigned");
  EXPECT_EQ(outcome(packet), "unsigned");
}

TEST_F(VerifyTest, TrustedUidMayNotPointEverywhereEither) {
  options_.sign_check->skip_uids = {33};
  EXPECT_EQ(outcome(test::encode(plain_pairs("example.com", "8.8.8.8:80")),
                    Credentials{1, 33, 33}),
            "address-not-allowed");
}

TEST_F(VerifyTest, DefaultAddressesAreLoopbackPrivateAndUnix) {
  options_.sign_check.reset();
  for (const char* address :
       {"127.0.0.1:1", "127.255.0.1:1", "10.9.8.7:1", "172.16.0.1:1",
        "172.31.0.1:1", "192.168.3.4:1", "[::1]:1", "[fd00::1]:1", "/run/x",
        "@abstract", "[::ffff:10.0.0.1]:1"}) {
    EXPECT_EQ(address_outcome(address), "accepted") << address;
  }
  for (const char* address :
       {"8.8.8.8:1", "169.254.169.254:80", "172.32.0.1:1", "[2001:db8::1]:1",
        "[fe80::1]:1", "[::ffff:8.8.8.8]:1", "255.255.255.255:1"}) {
    EXPECT_EQ(address_outcome(address), "address-not-allowed") << address;
  }
}

TEST_F(VerifyTest, AnyAddressIsJudgedAsTheLoopbackThatItLeadsTo) {
  options_.sign_check.reset();
  EXPECT_EQ(address_outcome(":3031"), "accepted");
  EXPECT_EQ(address_outcome("0.0.0.0:3031"), "accepted");
  EXPECT_EQ(address_outcome("[::]:3031"), "accepted");
  options_.allow_addresses.networks = {*Network::parse("10.0.0.0/8")};
  EXPECT_EQ(address_outcome(":3031"), "address-not-allowed");
  EXPECT_EQ(address_outcome("[::]:3031"), "address-not-allowed");
  EXPECT_EQ(address_outcome("[::ffff:0.0.0.0]:3031"), "address-not-allowed");
}

TEST_F(VerifyTest, PathThatIsNotPlainIsRefused) {
  options_.sign_check.reset();
  for (const char* path : {"/run/../etc/x", "/run/..", "/run//x", "/run/./x",
                           "/./x", "//run/x", "/run/x/", "/"}) {
    EXPECT_EQ(address_outcome(path), "address-not-allowed") << path;
  }
  for (const char* path : {"/run/.hidden", "/run/..x", "/run/x..", "/x"}) {
    EXPECT_EQ(address_outcome(path), "accepted") << path;
  }
}

TEST_F(VerifyTest, PathPrefixIsWholeComponents) {
  options_.sign_check.reset();
  for (const char* prefix : {"/containers/a", "/containers/a/"}) {
    options_.allow_addresses.unix_prefixes = {prefix};
    EXPECT_EQ(address_outcome("/containers/a/run/x"), "accepted");
    EXPECT_EQ(address_outcome("/containers/ab/run/x"), "address-not-allowed");
    EXPECT_EQ(address_outcome("/containers/a/../b/x"), "address-not-allowed");
    EXPECT_EQ(address_outcome("/run/x"), "address-not-allowed");
    EXPECT_EQ(address_outcome("@containers"), "address-not-allowed");
  }
  options_.allow_addresses.unix_prefixes = {"@app-"};
  EXPECT_EQ(address_outcome("@app-1"), "accepted");
  EXPECT_EQ(address_outcome("@other"), "address-not-allowed");
  EXPECT_EQ(address_outcome("/run/x"), "address-not-allowed");
  options_.allow_addresses.unix_prefixes = {""};
  EXPECT_EQ(address_outcome("/run/x"), "address-not-allowed");
}

TEST_F(VerifyTest, MoreKeysThanAreKeptAllCount) {
  verifier_.emplace(options_, clock_, 4);
  const Signer signer = Signer::customer();
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 10; ++i) {
      const std::string name = "n" + std::to_string(i) + ".example.com";
      if (round == 0) give_key(name, signer);
      EXPECT_EQ(outcome_of(signer, name), "accepted") << i;
    }
  }
}

TEST(KeyFileName, IsTheKeyWithoutItsMountpoint) {
  EXPECT_EQ(key_file_name("foo.example.com"), "foo.example.com.pem");
  EXPECT_EQ(key_file_name(".example.com"), ".example.com.pem");
  EXPECT_EQ(key_file_name("foo.example.com:8080"), "foo.example.com_8080.pem");
  EXPECT_EQ(key_file_name("foo.example.com/blog"), "foo.example.com.pem");
  EXPECT_EQ(key_file_name("foo.example.com:80/a:b"), "foo.example.com_80.pem");
  EXPECT_EQ(key_file_name("[fc00::1]:80"), "_fc00__1__80.pem");
  EXPECT_EQ(key_file_name("a_b.example.com"), "a_b.example.com.pem");
  EXPECT_EQ(key_file_name("../etc/passwd"), "...pem");
  EXPECT_EQ(key_file_name(std::string_view("a\0b", 3)), "a_b.pem");
}

}  // namespace
}  // namespace fealty::subscription
