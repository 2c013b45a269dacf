#include "sni/client_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <limits>
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
  EXPECT_TRUE(same(parse(ca_.pem() + other_.pem(),
                         test::make_crl(make_ca("C"), {}))))
      << "a list of nobody's among them";
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

TEST_F(ClientPolicyTest, ListOfOneCaLeavesTheOthersClientsAlone) {
  const std::string list = test::make_crl(ca_, {7});
  const Made theirs = make_client("theirs", other_);
  Server server;
  Texts texts = guarded(make_server("s"), other_);
  texts.client_crl = list;
  server.put("site", texts);
  EXPECT_EQ(ask(server, &theirs).client, "/C=IT/O=Foo/CN=theirs");
  texts.client_ca += ca_.pem();
  server.put("site", texts);
  EXPECT_EQ(ask(server, &theirs).client, "/C=IT/O=Foo/CN=theirs");
  Wish wish;
  wish.issuer = &ca_;
  wish.serial = 7;
  const Made revoked = make_certificate(wish);
  EXPECT_EQ(ask(server, &revoked).failure, Failure::kClientCertificate);
}

TEST_F(ClientPolicyTest, ListOfAnotherCaOfTheSameNameRevokesNothing) {
  const Made namesake = make_ca("A");
  Server server;
  Texts texts = guarded(make_server("s"), ca_);
  texts.client_crl = test::make_crl(namesake, {1});
  server.put("site", texts);
  const Made client = make_client("c", ca_);
  EXPECT_EQ(ask(server, &client).client, "/C=IT/O=Foo/CN=c");
}

TEST_F(ClientPolicyTest, CustomersOwnListStandsBesideHisCas) {
  Server server;
  Texts texts = guarded(make_server("s"), ca_);
  texts.client_ca += test::make_crl(ca_, {7});
  server.put("site", texts);
  Wish wish;
  wish.issuer = &ca_;
  wish.serial = 7;
  const Made revoked = make_certificate(wish);
  EXPECT_EQ(ask(server, &revoked).failure, Failure::kClientCertificate);
  texts.client_ca = ca_.pem() + "-----BEGIN X509 CRL-----\nMAMCAQE=\n"
                                "-----END X509 CRL-----\n";
  EXPECT_EQ(server.store.put("site", texts.pem()).error(), Refusal::kBadCrl);
}

TEST_F(ClientPolicyTest, WhenItsListsGoOutOfDateIsKnown) {
  const auto without = parse(ca_.pem());
  const auto with = parse(ca_.pem(), test::make_crl(ca_, {}, 3600));
  ASSERT_TRUE(without && with);
  EXPECT_EQ((*without)->lists_until_s(),
            std::numeric_limits<std::int64_t>::max());
  EXPECT_NEAR(static_cast<double>((*with)->lists_until_s()),
              static_cast<double>(std::time(nullptr) + 3600), 60.0);
}

TEST_F(ClientPolicyTest, SubjectThatIsEmptyIsNoClient) {
  Server server;
  server.put("site", guarded(make_server("s"), ca_));
  Wish wish;
  wish.issuer = &ca_;
  wish.subject.clear();
  const Made nobody = make_certificate(wish);
  EXPECT_EQ(ask(server, &nobody).failure, Failure::kClientCertificate);
}

TEST_F(ClientPolicyTest, MoreNamesThanABoundAreNotSent) {
  Server server;
  Texts texts = guarded(make_server("s"), ca_, false);
  for (int i = 0; i < 10; ++i) {
    Wish wish;
    wish.is_ca = true;
    wish.subject.assign(10, {"OU", std::string(60, static_cast<char>('a' + i))});
    texts.client_ca += make_certificate(wish).pem();
  }
  server.put("site", texts);
  Ask ask;
  ask.name = "site";
  EXPECT_TRUE(server.handshake(ask).ca_names.empty());
  const Made client = make_client("c", ca_);
  ask.client = &client;
  EXPECT_EQ(server.handshake(ask).client, "/C=IT/O=Foo/CN=c");
}

TEST_F(ClientPolicyTest, JointPolicyLetsInWhomBothLetIn) {
  const auto demanding = parse(ca_.pem() + other_.pem());
  const auto asking = parse(ca_.pem(), "", false, 1);
  const auto disjoint = parse(make_ca("C").pem());
  ASSERT_TRUE(demanding && asking && disjoint);
  const auto joint = ClientPolicy::joint(*demanding, *asking, policies_);
  EXPECT_TRUE(same_policy(joint.get(), parse(ca_.pem(), "", true, 1)->get()));
  EXPECT_EQ(ClientPolicy::joint(*asking, *demanding, policies_), joint);
  EXPECT_EQ(ClientPolicy::joint(*asking, {}, policies_), *asking);
  EXPECT_EQ(ClientPolicy::joint({}, *asking, policies_), *asking);
  const auto nobody = ClientPolicy::joint(*asking, *disjoint, policies_);
  EXPECT_TRUE(nobody->demands());
  EXPECT_FALSE(same_policy(nobody.get(), asking->get()));
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
