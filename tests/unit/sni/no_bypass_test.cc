// Nobody comes to an identity with a client certificate, or without one, that
// was judged by another's rules: not with a session of another name, of no
// name, or of the same name before its rules changed, in TLS 1.2 or 1.3. What
// guards against it is named above each test: taken out, the test fails.

#include <gtest/gtest.h>

#include <string>

#include "sni/identity.h"
#include "support.h"

namespace fealty::sni {
namespace {

using test::Ask;
using test::guarded;
using test::make_ca;
using test::make_client;
using test::make_server;
using test::Made;
using test::Outcome;
using test::Server;
using test::SessionPtr;
using test::Texts;
using test::texts_of;

class NoBypass : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    server_.put("open.example.com", texts_of(make_server("open")));
    server_.put("a.example.com", guarded(a_, ca_a_));
    server_.put("b.example.com", guarded(b_, ca_b_));
    server_.put("asks.example.com",
                guarded(make_server("asks"), ca_a_, false));
  }
  Outcome ask(const std::string& name, const Made* client,
              SessionPtr session = nullptr) {
    Ask ask;
    ask.version = GetParam();
    ask.name = name;
    ask.client = client;
    ask.session = std::move(session);
    return server_.handshake(ask);
  }
  // A session that `name` would resume.
  SessionPtr session_of(const std::string& name, const Made* client) {
    const Outcome first = ask(name, client);
    EXPECT_TRUE(first.done) << name;
    EXPECT_NE(first.session, nullptr) << name;
    EXPECT_TRUE(ask(name, client, first.session).resumed) << name;
    const Outcome fresh = ask(name, client);
    return fresh.session;
  }

  Server server_;
  Made ca_a_ = make_ca("A");
  Made ca_b_ = make_ca("B");
  Made a_ = make_server("a");
  Made b_ = make_server("b");
  Made client_a_ = make_client("alice", ca_a_);
  Made client_b_ = make_client("bob", ca_b_);
};

INSTANTIATE_TEST_SUITE_P(Tls, NoBypass,
                         testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& version) {
                           return version.param == TLS1_2_VERSION ? "12"
                                                                  : "13";
                         });

// Guard: Identity::bind sets the policy by this ClientHello's name.
TEST_P(NoBypass, GuardedNameWantsACertificate) {
  EXPECT_EQ(ask("a.example.com", &client_a_).client, "/C=IT/O=Foo/CN=alice");
  const Outcome none = ask("a.example.com", nullptr);
  EXPECT_FALSE(none.done);
  EXPECT_EQ(none.failure, Failure::kClientCertificate);
  EXPECT_EQ(ask("a.example.com", &client_b_).failure,
            Failure::kClientCertificate);
}

// Guard: ServerName::fold. Without it these names would be unknown, and served
// by the fallback without asking for anything.
TEST_P(NoBypass, NameInAnotherCaseOrWithADotIsAsGuarded) {
  for (const char* const name :
       {"A.EXAMPLE.com", "a.example.com.", "A.Example.Com."}) {
    EXPECT_EQ(ask(name, nullptr).failure, Failure::kClientCertificate) << name;
    EXPECT_EQ(ask(name, &client_a_).identity, "a.example.com") << name;
  }
}

// Guard: Identity::bind sets the session id context.
TEST_P(NoBypass, SessionOfAnUnguardedNameIsNotResumedOnAGuardedOne) {
  const SessionPtr session = session_of("open.example.com", nullptr);
  EXPECT_EQ(ask("a.example.com", nullptr, session).failure,
            Failure::kClientCertificate);
  const Outcome with = ask("a.example.com", &client_a_, session);
  EXPECT_TRUE(with.done);
  EXPECT_FALSE(with.resumed);
  EXPECT_EQ(with.client, "/C=IT/O=Foo/CN=alice");
}

// Guard: the same.
TEST_P(NoBypass, SessionWithoutANameIsNotResumedOnAGuardedOne) {
  const SessionPtr session = session_of("", nullptr);
  EXPECT_EQ(ask("a.example.com", nullptr, session).failure,
            Failure::kClientCertificate);
  const SessionPtr unknown = session_of("unknown.example.org", nullptr);
  EXPECT_EQ(ask("a.example.com", nullptr, unknown).failure,
            Failure::kClientCertificate);
}

// Guard: the same. The client of A's CA is nobody to B.
TEST_P(NoBypass, SessionOfAGuardedNameIsNotResumedOnAnother) {
  const SessionPtr session = session_of("a.example.com", &client_a_);
  EXPECT_EQ(ask("b.example.com", nullptr, session).failure,
            Failure::kClientCertificate);
  EXPECT_EQ(ask("b.example.com", &client_a_, session).failure,
            Failure::kClientCertificate);
  const Outcome with = ask("b.example.com", &client_b_, session);
  EXPECT_FALSE(with.resumed);
  EXPECT_EQ(with.client, "/C=IT/O=Foo/CN=bob");
}

// Guard: the same; binding_of holds the name, not the policy alone.
TEST_P(NoBypass, SessionIsNotResumedUnderAnotherNameOfTheSamePolicy) {
  server_.put("twin.example.com", guarded(make_server("twin"), ca_a_));
  const SessionPtr session = session_of("a.example.com", &client_a_);
  const Outcome other = ask("twin.example.com", &client_a_, session);
  EXPECT_TRUE(other.done);
  EXPECT_FALSE(other.resumed);
}

// Guard: the same. No certificate follows its owner to where none was asked
// for.
TEST_P(NoBypass, SessionOfAGuardedNameBringsNoClientToAnUnguardedOne) {
  const SessionPtr session = session_of("a.example.com", &client_a_);
  for (const char* const name : {"open.example.com", "", "unknown.org"}) {
    const Outcome open = ask(name, nullptr, session);
    EXPECT_TRUE(open.done) << name;
    EXPECT_FALSE(open.resumed) << name;
    EXPECT_EQ(open.client, "-") << name;
  }
}

// Guard: the same; the digest of the policy holds its mode.
TEST_P(NoBypass, SessionMadeWithoutACertificateIsNotResumedOnceItIsDemanded) {
  const Made asks = make_server("asks");
  server_.put("asks.example.com", guarded(asks, ca_a_, false));
  const SessionPtr session = session_of("asks.example.com", nullptr);
  server_.put("asks.example.com", guarded(asks, ca_a_, true));
  EXPECT_EQ(ask("asks.example.com", nullptr, session).failure,
            Failure::kClientCertificate);
}

// Guard: the same; the digest of the policy holds the CAs.
TEST_P(NoBypass, SessionIsNotResumedPastAChangedCa) {
  const SessionPtr session = session_of("a.example.com", &client_a_);
  server_.put("a.example.com", guarded(a_, ca_b_));
  EXPECT_EQ(ask("a.example.com", nullptr, session).failure,
            Failure::kClientCertificate);
  EXPECT_EQ(ask("a.example.com", &client_a_, session).failure,
            Failure::kClientCertificate);
}

// Guard: the same; the digest of the policy holds the revocation lists.
TEST_P(NoBypass, SessionIsNotResumedPastANewRevocationList) {
  const SessionPtr session = session_of("a.example.com", &client_a_);
  Texts texts = guarded(a_, ca_a_);
  texts.client_crl = test::make_crl(ca_a_, {1});
  server_.put("a.example.com", texts);
  EXPECT_EQ(ask("a.example.com", &client_a_, session).failure,
            Failure::kClientCertificate);
}

// Guard: the same; the digest of the policy holds the depth.
TEST_P(NoBypass, SessionIsNotResumedPastAnotherDepth) {
  const SessionPtr session = session_of("a.example.com", &client_a_);
  Texts texts = guarded(a_, ca_a_);
  texts.depth = 0;
  server_.put("a.example.com", texts);
  const Outcome again = ask("a.example.com", &client_a_, session);
  EXPECT_TRUE(again.done);
  EXPECT_FALSE(again.resumed);
}

// Guard: the same. What was open and is guarded now, and the other way round.
TEST_P(NoBypass, SessionIsNotResumedOnceTheNameIsGuarded) {
  const Made open = make_server("open");
  const SessionPtr session = session_of("open.example.com", nullptr);
  server_.put("open.example.com", guarded(open, ca_a_));
  EXPECT_EQ(ask("open.example.com", nullptr, session).failure,
            Failure::kClientCertificate);
}
TEST_P(NoBypass, ClientDoesNotOutliveThePolicyThatVerifiedHim) {
  const SessionPtr session = session_of("a.example.com", &client_a_);
  server_.put("a.example.com", texts_of(a_));
  const Outcome open = ask("a.example.com", nullptr, session);
  EXPECT_TRUE(open.done);
  EXPECT_FALSE(open.resumed);
  EXPECT_EQ(open.client, "-");
}

// Guard: the same, for a listener's default identity that asks.
TEST_P(NoBypass, SessionOfAnUnguardedNameIsNotResumedOnAGuardedFallback) {
  const SessionPtr session = session_of("open.example.com", nullptr);
  server_.set_fallback(guarded(make_server("fallback"), ca_a_));
  for (const char* const name : {"", "unknown.example.org", "192.0.2.1"}) {
    EXPECT_EQ(ask(name, nullptr, session).failure, Failure::kClientCertificate)
        << name;
  }
}

// Guard: the same, for a wildcard beside an exact name.
TEST_P(NoBypass, SessionOfAWildcardIsNotResumedOnAnExactName) {
  server_.put(".example.com", texts_of(make_server("wild")));
  const SessionPtr session = session_of("any.example.com", nullptr);
  EXPECT_TRUE(ask("other.example.com", nullptr, session).resumed);
  EXPECT_EQ(ask("a.example.com", nullptr, session).failure,
            Failure::kClientCertificate);
}

// The truth comes back with the session.
TEST_P(NoBypass, ResumedSessionBringsItsOwnClient) {
  const SessionPtr session = session_of("a.example.com", &client_a_);
  const Outcome again = ask("a.example.com", nullptr, session);
  EXPECT_TRUE(again.resumed);
  EXPECT_EQ(again.client, "/C=IT/O=Foo/CN=alice");
  const SessionPtr without = session_of("asks.example.com", nullptr);
  const Outcome nobody = ask("asks.example.com", nullptr, without);
  EXPECT_TRUE(nobody.resumed);
  EXPECT_EQ(nobody.client, "-");
}

// Guard: client_still_counts looks at the certificate's last day.
TEST_P(NoBypass, SessionIsNotResumedPastItsClientsLastDay) {
  const Made brief = make_client("brief", ca_a_, 3600);
  const SessionPtr session = session_of("a.example.com", &brief);
  server_.clock.now_s += 3599;
  EXPECT_TRUE(ask("a.example.com", nullptr, session).resumed);
  server_.clock.now_s += 10;
  EXPECT_EQ(ask("a.example.com", nullptr, session).failure,
            Failure::kClientCertificate);
}

// Guard: client_still_counts looks at when it was verified. Resuming what was
// resumed does not make it younger.
TEST_P(NoBypass, ClientIsVerifiedAnewOnceADay) {
  const Made lasting = make_client("lasting", ca_a_, 30L * 86400);
  SessionPtr session = session_of("a.example.com", &lasting);
  for (int hour = 0; hour < 24; ++hour) {
    const Outcome again = ask("a.example.com", nullptr, session);
    EXPECT_TRUE(again.resumed) << hour;
    if (again.session != nullptr) session = again.session;
    server_.clock.now_s += 3600;
  }
  server_.clock.now_s += 10;
  EXPECT_EQ(ask("a.example.com", nullptr, session).failure,
            Failure::kClientCertificate);
  EXPECT_FALSE(ask("a.example.com", &lasting, session).resumed);
}

// Guard: may_carry. The router answers 421 where it is false.
TEST(MayCarry, OnlyToAHostOfTheSamePolicy) {
  test::FakeClock clock;
  Store store(clock);
  const Made ca = make_ca("A");
  const Made other_ca = make_ca("B");
  const auto identity = [&](const char* name, const Texts& texts) {
    EXPECT_TRUE(store.put(name, texts.pem()));
    return IdentityRef::share(store.find_exact(name));
  };
  const auto open = identity("open", texts_of(make_server("open")));
  const auto open2 = identity("open2", texts_of(make_server("open2")));
  const auto demands = identity("demands", guarded(make_server("d"), ca));
  const auto twin = identity("twin", guarded(make_server("t"), ca));
  const auto asks = identity("asks", guarded(make_server("k"), ca, false));
  const auto other = identity("other", guarded(make_server("o"), other_ca));
  EXPECT_TRUE(may_carry(*open, open2.get()));
  EXPECT_TRUE(may_carry(*open, nullptr));
  EXPECT_TRUE(may_carry(*demands, twin.get()));
  EXPECT_FALSE(may_carry(*open, demands.get()));
  EXPECT_FALSE(may_carry(*open, asks.get()));
  EXPECT_FALSE(may_carry(*asks, demands.get()));
  EXPECT_FALSE(may_carry(*demands, asks.get()));
  EXPECT_FALSE(may_carry(*demands, other.get()));
  EXPECT_FALSE(may_carry(*demands, open.get()));
  EXPECT_FALSE(may_carry(*demands, nullptr));
}

}  // namespace
}  // namespace fealty::sni
