#include "sni/client_policy.h"

#include <gtest/gtest.h>

#include <string>

#include "support.h"

namespace fealty::sni {
namespace {

using test::Ask;
using test::guarded;
using test::make_ca;
using test::make_certificate;
using test::make_client;
using test::make_server;
using test::Made;
using test::Outcome;
using test::Server;
using test::Texts;
using test::Wish;

class ClientPolicyTest : public testing::Test {
 protected:
  Result<ClientPolicyRef, Refusal> parse(const std::string& ca,
                                         const std::string& crl = "",
                                         bool demands = true, int depth = 2) {
    return ClientPolicy::parse({ca, crl, demands, depth}, policies_);
  }
  static Outcome ask(Server& server, const Made* client) {
    Ask ask;
    ask.name = "site";
    ask.client = client;
    return server.handshake(ask);
  }

  ClientPolicies policies_;
  Made ca_ = make_ca("A");
  Made other_ = make_ca("B");
};

TEST_F(ClientPolicyTest, SetOfCasModeDepthAndListsMakeThePolicy) {
  const std::string crl = test::make_crl(ca_, {});
  const auto one = parse(ca_.pem() + other_.pem());
  ASSERT_TRUE(one);
  const auto same = [&](const Result<ClientPolicyRef, Refusal>& other) {
    return same_policy(one->get(), other->get());
  };
  EXPECT_TRUE(same(parse(other_.pem() + "text\n" + ca_.pem() + ca_.pem())));
  EXPECT_FALSE(same(parse(ca_.pem())));
  EXPECT_FALSE(same(parse(ca_.pem() + other_.pem(), "", false)));
  EXPECT_FALSE(same(parse(ca_.pem() + other_.pem(), "", true, 1)));
  EXPECT_FALSE(same(parse(ca_.pem() + other_.pem(), crl)));
  EXPECT_FALSE(same_policy(one->get(), nullptr));
  EXPECT_TRUE(same_policy(nullptr, nullptr));
}

TEST_F(ClientPolicyTest, EqualOnesAreOneObject) {
  const auto one = parse(ca_.pem());
  const auto other = parse(ca_.pem());
  ASSERT_TRUE(one && other);
  EXPECT_EQ(one->get(), other->get());
}

TEST_F(ClientPolicyTest, UnreadableFilesAreRefused) {
  const auto why = [&](const std::string& ca, const std::string& crl = "") {
    const auto made = parse(ca, crl);
    return made ? "" : std::string(text_of(made.error()));
  };
  const std::string bad_ca(text_of(Refusal::kBadClientCa));
  const std::string bad_crl(text_of(Refusal::kBadCrl));
  EXPECT_EQ(why(""), bad_ca);
  EXPECT_EQ(why("garbage"), bad_ca);
  EXPECT_EQ(why(ca_.key_pem()), bad_ca);
  EXPECT_EQ(why("-----BEGIN CERTIFICATE-----\nMAMCAQE=\n"
                "-----END CERTIFICATE-----\n"), bad_ca);
  EXPECT_EQ(why(ca_.pem(), "garbage"), bad_crl);
  EXPECT_EQ(why(ca_.pem(), "-----BEGIN X509 CRL-----\nMAMCAQE=\n"
                           "-----END X509 CRL-----\n"), bad_crl);
  std::string many;
  for (std::size_t i = 0; i <= ClientPolicy::kCertificatesMax; ++i) {
    many += ca_.pem();
  }
  EXPECT_EQ(why(many), text_of(Refusal::kTooManyCertificates));
}

TEST_F(ClientPolicyTest, CaNamesAreSentToTheClient) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Server server;
    Texts texts = guarded(make_server("s"), ca_, false);
    texts.client_ca += other_.pem();
    server.put("site", texts);
    Ask ask;
    ask.version = version;
    ask.name = "site";
    auto names = server.handshake(ask).ca_names;
    std::sort(names.begin(), names.end());
    EXPECT_EQ(names, (std::vector<std::string>{"A", "B"}));
  }
}

TEST_F(ClientPolicyTest, AskedForACertificateHeMayHaveNoneButNotAFalseOne) {
  Server server;
  server.put("site", guarded(make_server("s"), ca_, false));
  const Outcome without = ask(server, nullptr);
  EXPECT_TRUE(without.done);
  EXPECT_EQ(without.client, "-");
  const Made good = make_client("good", ca_);
  EXPECT_EQ(ask(server, &good).client, "/C=IT/O=Foo/CN=good");
  const Made stranger = make_client("stranger", other_);
  EXPECT_EQ(ask(server, &stranger).failure, Failure::kClientCertificate);
}

TEST_F(ClientPolicyTest, ExpiredClientIsRefused) {
  Server server;
  server.put("site", guarded(make_server("s"), ca_));
  const Made expired = make_client("late", ca_, -10);
  EXPECT_EQ(ask(server, &expired).failure, Failure::kClientCertificate);
}

TEST_F(ClientPolicyTest, SubjectThatDoesNotFitIsNoClient) {
  Server server;
  server.put("site", guarded(make_server("s"), ca_));
  Wish wish;
  wish.issuer = &ca_;
  wish.subject.assign(30, {"OU", std::string(60, 'x')});
  const Made endless = make_certificate(wish);
  EXPECT_EQ(ask(server, &endless).failure, Failure::kClientCertificate);
}

TEST_F(ClientPolicyTest, RevokedClientIsRefused) {
  Server server;
  Texts texts = guarded(make_server("s"), ca_);
  texts.client_crl = test::make_crl(ca_, {7});
  server.put("site", texts);
  Wish wish;
  wish.issuer = &ca_;
  wish.serial = 7;
  const Made revoked = make_certificate(wish);
  wish.serial = 8;
  const Made good = make_certificate(wish);
  EXPECT_EQ(ask(server, &revoked).failure, Failure::kClientCertificate);
  EXPECT_EQ(ask(server, &good).client, "/CN=x");
}

TEST_F(ClientPolicyTest, RevocationListThatIsOutOfDateLetsNobodyIn) {
  Server server;
  Texts texts = guarded(make_server("s"), ca_);
  texts.client_crl = test::make_crl(ca_, {}, -10);
  server.put("site", texts);
  const Made client = make_client("c", ca_);
  EXPECT_EQ(ask(server, &client).failure, Failure::kClientCertificate);
}

// The client sends its intermediate along, as OpenSSL's client does with what
// it finds in its context; here the CA file has it.
TEST_F(ClientPolicyTest, IntermediateOfTheCaFileIsTrusted) {
  Wish wish;
  wish.subject = {{"CN", "sub"}};
  wish.issuer = &ca_;
  wish.is_ca = true;
  const Made sub = make_certificate(wish);
  Server server;
  server.put("site", guarded(make_server("s"), sub));
  const Made client = make_client("c", sub);
  EXPECT_EQ(ask(server, &client).client, "/C=IT/O=Foo/CN=c");
  const Made of_the_root = make_client("r", ca_);
  EXPECT_EQ(ask(server, &of_the_root).failure, Failure::kClientCertificate);
}

TEST_F(ClientPolicyTest, ServerCertificateIsNoClientCa) {
  Server server;
  const Made leaf = make_client("leaf", ca_);
  server.put("site", guarded(make_server("s"), ca_));
  const Made forged = make_client("forged", leaf);
  EXPECT_EQ(ask(server, &forged).failure, Failure::kClientCertificate);
}

}  // namespace
}  // namespace fealty::sni
