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

// RSA-1024 with the exponent 2^128 + 1.
constexpr auto kHugeExponentPem =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIGtMA0GCSqGSIb3DQEBAQUAA4GbADCBlwKBgQDJ356h/H4W2AEL1lENkNKlaM/S\n"
    "wsSz8UJrnIbFnKisYUOlYbBLM31nSygUXbi8pPYtutLRsHqgfwoAHTfBWhkKtkSB\n"
    "cMfRb6bll6C4bdqlyAyuKW80vq2MBcDMPI1lFAZ89ZQ+3ByjCshZKVa48XEeKgm4\n"
    "FhNRT21ZeO+AAkTHpQIRAQAAAAAAAAAAAAAAAAAAAAE=\n"
    "-----END PUBLIC KEY-----\n";

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

  // The same, and committed where it was accepted.
  std::string taken(std::string_view packet,
                    std::optional<Credentials> sender = {}) {
    const auto announcement = parse_announcement(packet);
    EXPECT_TRUE(announcement);
    if (!announcement) return "undecodable";
    const auto accepted = verifier_->check(*announcement, {sender, from_});
    if (!accepted) return std::string(to_string(accepted.error()));
    if (accepted->duplicate) return "duplicate";
    verifier_->commit(*accepted);
    return "accepted";
  }

  // The customer's, of example.com.
  std::string signed_packet(std::int64_t offset_s = 0,
                            std::uint8_t modifier2 = 0) const {
    return customer_.packet(plain_pairs("example.com", kSocket),
                            kNow_s + offset_s, "SHA1", modifier2);
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
  Signer customer_ = Signer::customer();
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

TEST_F(VerifyTest, DomainsKeySpeaksForItsPorts) {
  const Signer port = Signer::rsa(2048);
  give_key("example.com", customer_);
  give_key("example.com_8080", port);
  EXPECT_EQ(outcome_of(customer_, "example.com:9090"), "accepted");
  EXPECT_EQ(outcome_of(customer_, "example.com:8080"), "accepted");
  EXPECT_EQ(outcome_of(port, "example.com:8080"), "bad-signature");
  EXPECT_EQ(outcome_of(port, "example.com"), "bad-signature");
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

TEST_F(VerifyTest, AnUnsubscribeMayNameWhatIsNotAllowedAnyMore) {
  options_.sign_check->skip_uids = {33};
  EXPECT_EQ(outcome(test::encode(plain_pairs("example.com", "8.8.8.8:80"), 1),
                    Credentials{1, 33, 33}),
            "accepted");
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

TEST_F(VerifyTest, TrustedAddressesAreOfTheTrustedOnly) {
  constexpr uid_t kForwarder = 1234;
  give_key("example.com", customer_);
  options_.sign_check->skip_uids = {kForwarder};
  options_.allow_addresses.networks.clear();
  options_.allow_addresses.unix_prefixes = {"/containers/"};
  options_.allow_trusted_addresses.networks = {*Network::parse("10.1.0.0/24")};
  verifier_.emplace(options_, clock_);
  const auto packet = [&](const std::string& address) {
    return customer_.packet(plain_pairs("example.com", address), kNow_s);
  };
  const Credentials forwarder{1, kForwarder, 1};
  const Credentials customer{1, 30001, 1};
  EXPECT_EQ(outcome(packet("10.1.0.2:1999"), forwarder), "accepted");
  EXPECT_EQ(outcome(packet(kSocket), forwarder), "accepted");
  EXPECT_EQ(outcome(packet("10.2.0.2:1999"), forwarder), "address-not-allowed");
  EXPECT_EQ(outcome(packet("10.1.0.2:1999"), customer), "address-not-allowed");
  EXPECT_EQ(outcome(packet("10.1.0.2:1999")), "address-not-allowed");
  EXPECT_EQ(outcome(packet(kSocket), customer), "accepted");
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

TEST_F(VerifyTest, RoutersOwnSocketsAreNobodysNodes) {
  options_.sign_check->skip_uids = {33};
  options_.allow_addresses.networks = {*Network::parse("0.0.0.0/0")};
  verifier_->add_own_socket(*Address::parse("0.0.0.0:8080"));
  verifier_->add_own_socket(*Address::parse("/run/fealty/admin.sock"));
  const auto announced = [&](const char* address) {
    return outcome(test::encode(plain_pairs("evil.test", address)),
                   Credentials{1, 33, 33});
  };
  for (const char* const own : {"127.0.0.1:8080", "127.0.0.2:8080", ":8080",
                                "/run/fealty/admin.sock"}) {
    EXPECT_EQ(announced(own), "address-not-allowed") << own;
    EXPECT_FALSE(verifier_->address_allowed(*Address::parse(own))) << own;
  }
  EXPECT_EQ(announced("127.0.0.1:8081"), "accepted");
  EXPECT_EQ(announced("/run/fealty/other.sock"), "accepted");
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

TEST_F(VerifyTest, PathThatALinkLeadsOutOfItsPrefixIsRefused) {
  options_.sign_check.reset();
  TempDir root;
  for (const char* const name : {"/in", "/in/b", "/out"}) {
    std::filesystem::create_directory(root.path() + name);
  }
  write_file(root / "out/adm.sock", "");
  write_file(root / "in/b/app.sock", "");
  const auto link = [&](const std::string& to, const char* name) {
    std::filesystem::create_symlink(to, root / name);
  };
  link(root / "out/adm.sock", "in/b/absolute.sock");
  link("../../out/adm.sock", "in/b/climbing.sock");
  link("../../out", "in/b/dir");
  link("../../out/absent.sock", "in/b/dangling.sock");
  link("app.sock", "in/b/own.sock");
  link("absent.sock", "in/b/later.sock");
  options_.allow_addresses.unix_prefixes = {root / "in/"};
  for (const char* const name : {"absolute.sock", "climbing.sock",
                                 "dir/adm.sock", "dangling.sock"}) {
    EXPECT_EQ(address_outcome(root / "in/b/" + name), "address-not-allowed")
        << name;
  }
  for (const char* const name :
       {"app.sock", "own.sock", "later.sock", "absent.sock"}) {
    EXPECT_EQ(address_outcome(root / "in/b/" + name), "accepted") << name;
  }
  options_.allow_addresses.unix_prefixes.push_back(root / "out");
  EXPECT_EQ(address_outcome(root / "in/b/dir/adm.sock"), "address-not-allowed");
  options_.allow_addresses.unix_prefixes = {"/"};
  EXPECT_EQ(address_outcome(root / "in/b/absolute.sock"), "accepted");
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

// From here on what is accepted is committed too, as the server does.

TEST_F(VerifyTest, CaptureReplayedToALiveNodeDoesNothing) {
  give_key("example.com", customer_);
  const std::string packet = signed_packet();
  EXPECT_EQ(taken(packet), "accepted");
  EXPECT_EQ(taken(packet), "duplicate");
  EXPECT_EQ(taken(signed_packet(1)), "accepted");
  EXPECT_EQ(taken(packet), "replayed");
  EXPECT_EQ(taken(signed_packet(10)), "accepted");
  EXPECT_EQ(taken(packet), "stale");
}

TEST_F(VerifyTest, SubscribeTurnedIntoUnsubscribeIsRefused) {
  give_key("example.com", customer_);
  std::string packet = signed_packet();
  EXPECT_EQ(taken(packet), "accepted");
  packet[3] = 1;
  EXPECT_EQ(taken(packet), "replayed");
}

TEST_F(VerifyTest, CaptureReplayedAfterTheNodeLeftIsRefused) {
  give_key("example.com", customer_);
  const std::string packet = signed_packet();
  EXPECT_EQ(taken(packet), "accepted");
  EXPECT_EQ(taken(signed_packet(1, 1)), "accepted");
  EXPECT_EQ(taken(packet), "replayed");
}

TEST_F(VerifyTest, CaptureReplayedAfterTheNodeExpiredIsRefused) {
  give_key("example.com", customer_);
  const std::string packet = signed_packet();
  EXPECT_EQ(taken(packet), "accepted");
  verifier_->on_node_left("example.com", *Address::parse(kSocket));
  EXPECT_EQ(taken(packet), "replayed");
  EXPECT_EQ(taken(signed_packet(1)), "accepted");
}

TEST_F(VerifyTest, InstantRestartSignsTheSameBytesAndIsTaken) {
  give_key("example.com", customer_);
  EXPECT_EQ(taken(signed_packet()), "accepted");
  EXPECT_EQ(taken(signed_packet(1, 1)), "accepted") << "unsubscribes";
  clock_.now_unix_s += 1;
  EXPECT_EQ(taken(signed_packet(1)), "accepted") << "is back";
  EXPECT_EQ(taken(signed_packet(1, 1)), "replayed");
}

TEST_F(VerifyTest, WhatTheTableRefusedMayComeAgain) {
  give_key("example.com", customer_);
  const std::string packet = signed_packet();
  EXPECT_EQ(outcome(packet), "accepted");  // without commit()
  EXPECT_EQ(taken(packet), "accepted");
}

TEST_F(VerifyTest, ForgedPacketIsNotRemembered) {
  give_key("example.com", customer_);
  std::string forged = signed_packet();
  forged.back() = static_cast<char>(forged.back() ^ 1);
  EXPECT_EQ(taken(forged), "bad-signature");
  EXPECT_EQ(taken(signed_packet()), "accepted");
  EXPECT_EQ(taken(signed_packet(1)), "accepted");
}

TEST_F(VerifyTest, SecondSignatureOfTheSameContentIsAReplay) {
  secure(Digest::kSha256);
  const Signer ec = Signer::ec("P-256");
  give_key("example.com", ec);
  const auto sign = [&](std::uint8_t modifier2) {
    return ec.packet(plain_pairs("example.com", kSocket), kNow_s, "SHA256",
                     modifier2);
  };
  ASSERT_NE(sign(0), sign(0)) << "ECDSA signs at random";
  EXPECT_EQ(taken(sign(0)), "accepted");
  EXPECT_EQ(taken(sign(1)), "replayed");
}

TEST_F(VerifyTest, EveryKindOfKeyIsRemembered) {
  secure(Digest::kSha512);
  const Signer rsa = Signer::rsa(2048);
  const Signer ec = Signer::ec("P-384");
  const Signer ed = Signer::ed25519();
  const auto try_key = [&](const std::string& key, const Signer& signer,
                           const char* digest) {
    give_key(key, signer);
    const auto pairs = plain_pairs(key, "/run/" + key);
    const std::string packet = signer.packet(pairs, kNow_s, digest);
    std::string turned = packet;
    turned[3] = 1;
    EXPECT_EQ(taken(packet), "accepted") << key;
    EXPECT_EQ(taken(turned), "replayed") << key;
  };
  try_key("rsa.example.com", rsa, "SHA512");
  try_key("ec.example.com", ec, "SHA512");
  try_key("ed.example.com", ed, nullptr);
}

TEST_F(VerifyTest, SkewedClocksAreTakenWithinTheToleranceOnly) {
  give_key("example.com", customer_);
  EXPECT_EQ(taken(signed_packet(-61)), "stale");
  EXPECT_EQ(taken(signed_packet(-60)), "accepted") << "a slow clock";
  EXPECT_EQ(taken(signed_packet(60)), "accepted") << "a fast one";
  EXPECT_EQ(taken(signed_packet(61)), "stale");
  EXPECT_EQ(taken(signed_packet(0)), "stale") << "overtaken by the fast one";
}

TEST_F(VerifyTest, UnsignedNodesAreNotRemembered) {
  options_.sign_check->skip_uids = {33};
  const std::string packet = vector_file("plain.0.bin");
  EXPECT_EQ(taken(packet, Credentials{1, 33, 33}), "accepted");
  EXPECT_EQ(taken(packet, Credentials{1, 33, 33}), "accepted");
}

TEST_F(VerifyTest, PacketWithoutSpaceToRememberIsOverBudget) {
  verifier_.emplace(options_, clock_, 4, 2);
  give_key("example.com", customer_);
  give_key("a.example.com", customer_);
  EXPECT_EQ(taken(signed_packet()), "accepted");
  EXPECT_EQ(taken(customer_.packet(plain_pairs("a.example.com", "/run/a"),
                                   kNow_s)),
            "over-budget");
}

TEST_F(VerifyTest, SourceThatForgesLosesItsBudgetAndNobodyElses) {
  give_key("example.com", customer_);
  const auto forge = [&](std::int64_t offset_s) {
    std::string forged = signed_packet(offset_s);
    forged.back() = static_cast<char>(forged.back() ^ 1);
    return forged;
  };
  const std::string forged = forge(1);
  const Credentials forger{1, 66, 66};
  int checks = 0;
  while (taken(forged, forger) == "bad-signature") ++checks;
  EXPECT_EQ(taken(forged, forger), "over-budget");
  EXPECT_GT(checks, 100);
  EXPECT_LT(checks, 1000);
  EXPECT_EQ(taken(signed_packet(), forger), "over-budget");
  EXPECT_EQ(taken(signed_packet(), Credentials{1, 67, 66}), "accepted");
  clock_.now_ms += 1000;
  EXPECT_EQ(taken(signed_packet(1), forger), "accepted");
}

TEST_F(VerifyTest, LiveNodesAreRefreshedWhateverElseTheirSourceSends) {
  const auto packet = [&](const char* key, const char* address,
                          std::int64_t offset_s) {
    return customer_.packet(plain_pairs(key, address), kNow_s + offset_s);
  };
  const auto forged = [&](const char* key, const char* address) {
    std::string bytes = packet(key, address, 9);
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    return bytes;
  };
  const auto flood = [&](const std::string& bytes) {
    int checks = 0;
    for (; taken(bytes) != "over-budget" && checks < 10'000; ++checks) continue;
    return checks;
  };
  for (const char* const key : {"a.test", "b.test", "c.test"}) {
    give_key(key, customer_);
  }
  from_ = *Address::parse("127.0.0.1:1");
  EXPECT_EQ(taken(packet("a.test", "/run/a", 0)), "accepted");
  EXPECT_EQ(taken(packet("b.test", "/run/b", 0)), "accepted");
  EXPECT_LT(flood(forged("unknown.test", "/run/x")), 2000);
  EXPECT_LT(flood(forged("b.test", "/run/elsewhere")), 2000);
  EXPECT_EQ(taken(packet("b.test", "/run/b", 1)), "accepted");
  EXPECT_LT(flood(forged("a.test", "/run/a")), 20) << "its own share";
  EXPECT_EQ(taken(packet("b.test", "/run/b", 2)), "accepted");
  EXPECT_EQ(taken(packet("a.test", "/run/a", 2)), "over-budget");
  EXPECT_EQ(taken(packet("c.test", "/run/c", 2)), "over-budget")
      << "not known yet";
  verifier_->on_node_left("b.test", *Address::parse("/run/b"));
  EXPECT_EQ(taken(packet("b.test", "/run/b", 3)), "over-budget") << "it left";
}

TEST_F(VerifyTest, SourcesAreUidsThenNetworksThenPaths) {
  give_key("example.com", customer_);
  std::string forged = signed_packet(1);
  forged.back() = static_cast<char>(forged.back() ^ 1);
  const auto drained = [&](const char* drain, const char* other) {
    from_ = *Address::parse(drain);
    while (taken(forged) == "bad-signature") continue;
    from_ = *Address::parse(other);
    const bool shared = taken(forged) == "over-budget";
    clock_.now_ms += 60'000;
    return shared;
  };
  EXPECT_TRUE(drained("10.0.0.1:1", "10.0.0.1:2"));
  EXPECT_FALSE(drained("10.0.0.1:1", "10.0.0.2:1"));
  EXPECT_TRUE(drained("[fd00::1]:1", "[fd00::2]:1"));
  EXPECT_FALSE(drained("[fd00::1]:1", "[fd00:0:0:1::1]:1"));
  EXPECT_FALSE(drained("/run/a", "/run/b"));
  EXPECT_TRUE(drained("[::ffff:10.0.0.1]:1", "10.0.0.1:2"));
}

TEST_F(VerifyTest, SourcesHaveNamesForPeople) {
  const auto name = [](std::optional<Credentials> sender,
                       const std::string& from) {
    const auto address = Address::parse(from);
    return Verifier::source_name({sender, address ? *address : Address()});
  };
  EXPECT_EQ(name(Credentials{1, 33, 34}, "/run/x"), "uid 33");
  EXPECT_EQ(name({}, "10.0.0.1:5"), "10.0.0.1");
  EXPECT_EQ(name({}, "[2001:db8:1:2:3:4:5:6]:5"), "2001:db8:1:2::/64");
  EXPECT_EQ(name({}, "/run/x"), "/run/x");
  EXPECT_EQ(name({}, ""), "unnamed socket");
}

TEST_F(VerifyTest, NamesWithoutKeyAreLookedForOnlySoOften) {
  int looks = 0;
  const std::string packet = signed_packet();
  while (taken(packet) == "no-key") ++looks;
  EXPECT_EQ(taken(packet), "over-budget");
  EXPECT_GT(looks, 100);
  EXPECT_LE(looks, 1000);
  give_key("example.com", customer_);
  clock_.now_ms += 100;
  EXPECT_EQ(taken(packet), "accepted");
}

TEST_F(VerifyTest, CustomersValidPacketsAreBoundedToo) {
  const Signer other = Signer::ed25519();
  give_key("example.com", customer_);
  give_key("other.example.com", other);
  options_.check_shares.owner_us = 100;
  verifier_.emplace(options_, clock_);
  EXPECT_EQ(taken(signed_packet(1)), "accepted");
  EXPECT_EQ(taken(signed_packet(2)), "accepted");
  EXPECT_EQ(taken(signed_packet(3)), "accepted");
  EXPECT_EQ(taken(signed_packet(4)), "over-budget");
  EXPECT_EQ(taken(other.packet(plain_pairs("other.example.com", "/run/o"),
                               kNow_s, nullptr)),
            "accepted");
}

TEST_F(VerifyTest, NodeIsUnderAnAddressOfNobodyElses) {
  const Signer other = Signer::rsa(2048);
  give_key("example.com", customer_);
  give_key("mine.example.com", customer_);
  give_key("other.example.com", other);
  const auto take = [&](const Signer& signer, const char* key,
                        const char* address, std::uint8_t modifier2 = 0) {
    clock_.now_unix_s += 10;
    return taken(signer.packet(plain_pairs(key, address), clock_.now_unix_s,
                               "SHA1", modifier2));
  };
  EXPECT_EQ(take(customer_, "example.com", "127.0.0.1:80"), "accepted");
  EXPECT_EQ(take(customer_, "mine.example.com", "127.0.0.1:80"), "accepted");
  for (const char* address :
       {"127.0.0.1:80", ":80", "0.0.0.0:80", "[::ffff:127.0.0.1]:80",
        "127.0.0.2:80", "127.255.0.9:80", "[::1]:80", "[::]:80",
        "[::ffff:127.9.0.1]:80", "[::ffff:0.0.0.0]:80"}) {
    EXPECT_EQ(take(other, "other.example.com", address), "address-taken")
        << address;
  }
  EXPECT_EQ(take(other, "other.example.com", "127.0.0.1:81"), "accepted");
  EXPECT_EQ(take(customer_, "example.com", "127.0.0.1:80", 1), "accepted");
  EXPECT_EQ(take(other, "other.example.com", ":80"), "address-taken");
  verifier_->on_node_left("mine.example.com", *Address::parse("127.0.0.1:80"));
  EXPECT_EQ(take(other, "other.example.com", ":80"), "accepted");
}

TEST_F(VerifyTest, NodeKeepsItsAddressWhenItsKeyIsRotated) {
  const Signer rotated = Signer::rsa(2048);
  give_key("example.com", customer_);
  EXPECT_EQ(taken(signed_packet()), "accepted");
  give_key("example.com", rotated);
  EXPECT_EQ(taken(signed_packet(1)), "bad-signature");
  EXPECT_EQ(taken(rotated.packet(plain_pairs("example.com", kSocket),
                                 kNow_s + 1)),
            "accepted");
}

TEST_F(VerifyTest, AddressOfTheOperatorsNodeIsNoCustomers) {
  options_.sign_check->skip_uids = {33};
  give_key("example.com", customer_);
  give_key("mine.example.com", customer_);
  const Credentials trusted{1, 33, 33};
  const auto plain = [&](const char* key, const char* address) {
    return taken(test::encode(plain_pairs(key, address)), trusted);
  };
  const auto his = [&](const char* key, const char* address) {
    return taken(customer_.packet(plain_pairs(key, address),
                                  ++clock_.now_unix_s));
  };
  EXPECT_EQ(plain("platform.test", "127.0.0.1:80"), "accepted");
  EXPECT_EQ(his("example.com", "127.0.0.1:80"), "address-taken");
  EXPECT_EQ(his("example.com", ":81"), "accepted");
  EXPECT_EQ(plain("platform.test", "127.0.0.1:81"), "accepted")
      << "who is trusted is not asked";
  EXPECT_EQ(plain("example.com", ":81"), "accepted");
  EXPECT_EQ(his("mine.example.com", ":81"), "accepted") << "it is still his";
  verifier_->on_node_left("platform.test", *Address::parse("127.0.0.1:80"));
  EXPECT_EQ(his("example.com", "127.0.0.1:80"), "accepted");
}

TEST_F(VerifyTest, UnsubscribeOfAnothersAddressTouchesOnlyItsOwnNode) {
  const Signer other = Signer::rsa(2048);
  give_key("example.com", customer_);
  give_key("other.example.com", other);
  EXPECT_EQ(taken(signed_packet()), "accepted");
  const auto pairs = plain_pairs("other.example.com", kSocket);
  EXPECT_EQ(taken(other.packet(pairs, kNow_s, "SHA1", 1)), "accepted");
  EXPECT_EQ(taken(other.packet(pairs, kNow_s + 1)), "address-taken");
}

TEST_F(VerifyTest, AddressOfTheConfigurationsNodesIsNobodyElses) {
  const auto own = Address::parse("127.0.0.1:8080");
  ASSERT_TRUE(own);
  options_.static_nodes.push_back({.key = "own.example", .address = *own});
  options_.sign_check->skip_uids = {33};
  verifier_.emplace(options_, clock_);
  give_key("example.com", customer_);
  const auto announced = [&](const std::string& address, bool subscribe = true,
                             std::optional<Credentials> sender = {}) {
    return outcome(customer_.packet(plain_pairs("example.com", address), kNow_s,
                                    "SHA1", subscribe ? 0 : 1),
                   sender);
  };
  for (const char* const spelling :
       {"127.0.0.1:8080", "0.0.0.0:8080", ":8080", "[::ffff:127.0.0.1]:8080"}) {
    EXPECT_EQ(announced(spelling), "address-taken") << spelling;
  }
  EXPECT_EQ(announced("127.0.0.1:8081"), "accepted");
  EXPECT_EQ(announced("127.0.0.1:8080", false), "accepted");
  EXPECT_EQ(announced("127.0.0.1:8080", true, Credentials{1, 33, 33}),
            "accepted");
  options_.sign_check.reset();
  verifier_.emplace(options_, clock_);
  EXPECT_EQ(announced("127.0.0.1:8080", true, Credentials{1, 33, 33}),
            "address-taken")
      << "where nobody signs, nobody is known to be the operator";
}

TEST_F(VerifyTest, KeySpeaksForItsMountpointsAndPorts) {
  give_key("example.com", customer_);
  EXPECT_EQ(outcome_of(customer_, "example.com/blog"), "accepted");
  EXPECT_EQ(outcome_of(customer_, "Example.COM.:80/a/b/"), "accepted");
  EXPECT_EQ(outcome_of(customer_, "other.com/example.com"), "no-key");
}

TEST_F(VerifyTest, NoSpellingOfAForeignDomainIsOnesOwn) {
  const Signer owner = Signer::rsa(2048);
  give_key("mine.example.com", customer_);
  give_key("yours.example.com", owner);
  for (const char* key :
       {"yours.example.com", "YOURS.example.com", "yours.example.com.",
        "yours.example.com:80", "yours.example.com:443/x",
        "yours.example.com/mine.example.com", "YOURS.EXAMPLE.COM./x/"}) {
    EXPECT_EQ(outcome_of(customer_, key), "bad-signature") << key;
  }
}

TEST_F(VerifyTest, WildcardAboveOnesOwnIsForeign) {
  give_key("foo.example.com", customer_);
  give_key(".foo.example.com", customer_);
  EXPECT_EQ(outcome_of(customer_, ".example.com"), "no-key");
  EXPECT_EQ(outcome_of(customer_, ".com"), "no-key");
  EXPECT_EQ(outcome_of(customer_, "example.com"), "no-key");
  EXPECT_EQ(outcome_of(customer_, "bar.example.com"), "no-key");
  EXPECT_EQ(outcome_of(customer_, "bar.foo.example.com"), "accepted");
}

// `yours.com_80.pem` may have been made for the domain yours.com_80.
TEST_F(VerifyTest, DomainThatLooksLikeAPortIsNotOne) {
  const Signer owner = Signer::rsa(2048);
  give_key("yours.com", owner);
  give_key(".wild.com", owner);
  give_key("yours.com_80", customer_);
  give_key("x.wild.com_80", customer_);
  EXPECT_EQ(outcome_of(customer_, "yours.com:80"), "bad-signature");
  EXPECT_EQ(outcome_of(customer_, "x.wild.com:80"), "bad-signature");
  EXPECT_EQ(outcome_of(customer_, "yours.com_80"), "no-key");
  EXPECT_EQ(outcome_of(owner, "yours.com:80"), "accepted");
}

TEST_F(VerifyTest, PortsOwnKeyCountsWhereTheDomainHasNone) {
  give_key("example.com_8080", customer_);
  EXPECT_EQ(outcome_of(customer_, "example.com:8080"), "accepted");
  EXPECT_EQ(outcome_of(customer_, "example.com:8080/x"), "accepted");
  EXPECT_EQ(outcome_of(customer_, "example.com:8081"), "no-key");
  EXPECT_EQ(outcome_of(customer_, "example.com"), "no-key");
}

TEST_F(VerifyTest, AddressesHaveKeysOfTheirOwn) {
  give_key("_fc00__1_", customer_);
  EXPECT_EQ(outcome_of(customer_, "[FC00:0::1]"), "accepted");
  EXPECT_EQ(outcome_of(customer_, "[fc00::1]:80"), "accepted");
  give_key(".0.0.1_", customer_);
  EXPECT_EQ(outcome_of(customer_, "[::ffff:10.0.0.1]"), "no-key");
}

TEST_F(VerifyTest, RsaKeyWithAHugeExponentIsNoKey) {
  write_file(keys_ / "example.com.pem", kHugeExponentPem);
  EXPECT_EQ(outcome_of(customer_, "example.com"), "no-key");
}

class CredentialsTest : public VerifyTest {
 protected:
  CredentialsTest() {
    options_.sign_check.reset();
    options_.credentials_check = owners_.path();
    verifier_.emplace(options_, clock_);
    write_file(owners_ / "example.com", "");
    write_file(owners_ / ".wild.example.com", "");
  }
  std::string outcome_as(const std::string& key,
                         std::optional<Credentials> sender) {
    return outcome(test::encode(plain_pairs(key, kSocket)), sender);
  }
  TempDir owners_;
  Credentials me_{1, ::getuid(), ::getgid()};
};

TEST_F(CredentialsTest, SenderMustOwnTheKeysFile) {
  EXPECT_EQ(outcome_as("example.com", me_), "accepted");
  EXPECT_EQ(outcome_as("Example.com.:80/blog", me_), "accepted");
  EXPECT_EQ(outcome_as(".wild.example.com", me_), "accepted");
  const Credentials other_uid{1, me_.uid + 1, me_.gid};
  const Credentials other_gid{1, me_.uid, me_.gid + 1};
  EXPECT_EQ(outcome_as("example.com", other_uid), "not-owner");
  EXPECT_EQ(outcome_as("example.com", other_gid), "not-owner");
}

TEST_F(CredentialsTest, WithoutFileOrCredentialsIsRefused) {
  EXPECT_EQ(outcome_as("other.example.com", me_), "not-owner");
  EXPECT_EQ(outcome_as("a.wild.example.com", me_), "not-owner");
  EXPECT_EQ(outcome_as("example.com", std::nullopt), "not-owner");
}

TEST_F(CredentialsTest, PortsOwnFileDecidesWhereItExists) {
  write_file(owners_ / "example.com:80", "");
  EXPECT_EQ(outcome_as("example.com:80", me_), "accepted");
  if (::getuid() != 0) GTEST_SKIP() << "gives a file away";
  ASSERT_EQ(::chown((owners_ / "example.com:80").c_str(), 1234, 1234), 0);
  EXPECT_EQ(outcome_as("example.com:80", me_), "not-owner");
  EXPECT_EQ(outcome_as("example.com", me_), "accepted");
}

TEST_F(CredentialsTest, TrustedUidIsAskedToo) {
  secure(Digest::kSha1);
  options_.sign_check->skip_uids = {me_.uid + 1};
  EXPECT_EQ(outcome_as("example.com", Credentials{1, me_.uid + 1, me_.gid}),
            "not-owner");
}

TEST_F(CredentialsTest, AddressBelongsToTheUidThatAnnouncedItFirst) {
  if (::getuid() != 0) GTEST_SKIP() << "gives a file away";
  const Credentials other{1, 1234, 1234};
  write_file(owners_ / "mine.example.com", "");
  write_file(owners_ / "other.example.com", "");
  ASSERT_EQ(::chown((owners_ / "other.example.com").c_str(), 1234, 1234), 0);
  const auto take = [&](const char* key, const Credentials& sender,
                        std::uint8_t modifier2 = 0) {
    return taken(test::encode(plain_pairs(key, kSocket), modifier2), sender);
  };
  EXPECT_EQ(take("example.com", me_), "accepted");
  EXPECT_EQ(take("example.com", me_), "accepted") << "a refresh";
  EXPECT_EQ(take("mine.example.com", me_), "accepted");
  EXPECT_EQ(take("other.example.com", other), "address-taken");
  EXPECT_EQ(take("other.example.com", other, 1), "accepted") << "it leaves";
  EXPECT_EQ(take("example.com", me_, 1), "accepted");
  EXPECT_EQ(take("other.example.com", other), "address-taken");
  verifier_->on_node_left("mine.example.com", *Address::parse(kSocket));
  EXPECT_EQ(take("other.example.com", other), "accepted");
  EXPECT_EQ(take("example.com", me_), "address-taken");
}

TEST_F(CredentialsTest, SignatureIsNeededAsWell) {
  secure(Digest::kSha1);
  EXPECT_EQ(outcome_as("example.com", me_), "unsigned");
  give_key("example.com", customer_);
  EXPECT_EQ(taken(signed_packet(), me_), "accepted");
  EXPECT_EQ(taken(signed_packet(1), Credentials{1, me_.uid + 1, me_.gid}),
            "not-owner");
}

TEST_F(VerifyTest, RefusedSniPathRefusesThePacket) {
  give_key("example.com", customer_);
  TempDir home;
  options_.allow_sni_paths = {home.path()};
  write_file(home / "a.crt", "x");
  const Credentials me{1, ::getuid(), ::getgid()};
  const auto with_crt = [&](const std::string& path, std::uint8_t command = 0) {
    auto pairs = plain_pairs("example.com", kSocket);
    pairs.emplace_back("sni_crt", path);
    return taken(customer_.packet(pairs, ++clock_.now_unix_s, "SHA1", command),
                 me);
  };
  EXPECT_EQ(with_crt(home / "a.crt"), "accepted");
  EXPECT_EQ(with_crt(home / "b.crt"), "accepted") << "and it is told";
  EXPECT_EQ(with_crt("/etc/ssl/b.crt"), "sni-not-allowed");
  EXPECT_EQ(with_crt("b.crt"), "bad-value");
  std::filesystem::remove(home / "a.crt");
  EXPECT_EQ(with_crt(home / "a.crt", 1), "accepted") << "it leaves";
}

}  // namespace
}  // namespace fealty::subscription
