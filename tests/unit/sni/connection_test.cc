#include "sni/connection.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdio>
#include <string>
#include <vector>

#include "support.h"

namespace fealty::sni {
namespace {

using test::Ask;
using test::make_certificate;
using test::make_server;
using test::Made;
using test::Outcome;
using test::Server;
using test::Texts;
using test::texts_of;
using test::Wish;

class Tls : public testing::TestWithParam<int> {
 protected:
  Ask to(const std::string& name) const {
    Ask ask;
    ask.version = GetParam();
    ask.name = name;
    return ask;
  }
  Server server_;
};
INSTANTIATE_TEST_SUITE_P(Version, Tls,
                         testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(Tls, EachNameIsServedItsOwn) {
  server_.put("a.example.com", texts_of(make_server("a")));
  server_.put(".example.com", texts_of(make_server("wild")));
  EXPECT_EQ(server_.handshake(to("a.example.com")).server, "a");
  EXPECT_EQ(server_.handshake(to("A.Example.COM.")).server, "a");
  EXPECT_EQ(server_.handshake(to("b.example.com")).server, "wild");
  EXPECT_EQ(server_.handshake(to("example.com")).server, "fallback");
  EXPECT_EQ(server_.handshake(to("")).server, "fallback");
  EXPECT_EQ(server_.handshake(to("192.0.2.1")).server, "fallback");
}

TEST_P(Tls, WholeChainIsSent) {
  const Made ca = test::make_ca("CA");
  Wish wish;
  wish.issuer = &ca;
  const Made leaf = make_certificate(wish);
  Texts texts = texts_of(leaf);
  texts.chain += ca.pem();
  server_.put("a", texts);
  EXPECT_EQ(server_.handshake(to("a")).chain, 2U);
}

TEST_P(Tls, EveryKindOfKeyServes) {
  for (const auto& key :
       {test::make_key(), test::make_key("P-384"), test::make_key("P-521"),
        test::make_rsa_key(), test::make_ed25519_key()}) {
    Wish wish;
    wish.key = key;
    wish.subject = {{"CN", "it"}};
    server_.put("a", texts_of(make_certificate(wish)));
    EXPECT_EQ(server_.handshake(to("a")).server, "it");
    server_.store.remove("a");
  }
}

TEST_P(Tls, EachClientGetsTheKeyThatSuitsIt) {
  Wish rsa;
  rsa.key = test::make_rsa_key();
  rsa.subject = {{"CN", "rsa"}};
  server_.put("a", texts_of(make_certificate(rsa)));
  server_.put("a", texts_of(make_server("ec")), {1, 2});
  EXPECT_EQ(server_.handshake(to("a")).server, "ec");
  Ask old = to("a");
  old.signatures = "RSA-PSS+SHA256:RSA+SHA256";
  EXPECT_EQ(server_.handshake(old).server, "rsa");
  Ask modern = to("a");
  modern.signatures = "ECDSA+SHA256";
  EXPECT_EQ(server_.handshake(modern).server, "ec");
}

TEST_P(Tls, RotationShowsInTheNextHandshakeAndFailsNone) {
  for (long serial = 1; serial <= 50; ++serial) {
    server_.put("a", texts_of(make_server("a", serial)));
    const Outcome outcome = server_.handshake(to("a"));
    EXPECT_TRUE(outcome.done);
    EXPECT_EQ(outcome.serial, serial);
  }
}

TEST_P(Tls, IdentityOfAHandshakeOutlivesItsRemoval) {
  server_.put("a", texts_of(make_server("a")));
  Connection connection;
  server_.view.identities = server_.store.build();
  EXPECT_EQ(server_.handshake(to("a")).identity, "a");
  server_.store.remove("a");
  EXPECT_EQ(server_.handshake(to("a")).server, "fallback");
}

TEST_P(Tls, ResumptionNeedsNoKeyAndIsCounted) {
  server_.put("a", texts_of(make_server("a")));
  Ask ask = to("a");
  const Outcome first = server_.handshake(ask);
  ask.session = first.session;
  EXPECT_TRUE(server_.handshake(ask).resumed);
  EXPECT_EQ(server_.counters.full, 1U);
  EXPECT_EQ(server_.counters.resumed, 1U);
}

TEST_P(Tls, HttpIsAgreedUponAndNothingElse) {
  Ask ask = to("");
  ask.protocols = "\x02h2\x08http/1.1";
  EXPECT_EQ(server_.handshake(ask).protocol, "http/1.1");
  ask.protocols = "\x04smtp";
  const Outcome refused = server_.handshake(ask);
  EXPECT_FALSE(refused.done);
  EXPECT_EQ(refused.failure, Failure::kNothingInCommon);
  ask.protocols = "";
  EXPECT_TRUE(server_.handshake(ask).done);
}

TEST(TlsSettings, OldVersionsAndWeakSuitesFindNothingInCommon) {
  Server server;
  Ask ask;
  ask.version = TLS1_1_VERSION;
  EXPECT_FALSE(server.handshake(ask).done);

  Options options;
  options.min_version = TlsVersion::k13;
  Server strict(options);
  ask.version = TLS1_2_VERSION;
  EXPECT_FALSE(strict.handshake(ask).done);
  EXPECT_EQ(strict.counters.failures[static_cast<std::size_t>(
                Failure::kNothingInCommon)], 1U);
  ask.version = TLS1_3_VERSION;
  EXPECT_TRUE(strict.handshake(ask).done);
}

TEST(TlsSettings, SuitesHaveForwardSecrecyAndAuthenticatedEncryption) {
  const Server server;
  const auto* const suites = SSL_CTX_get_ciphers(server.context->get());
  ASSERT_GT(sk_SSL_CIPHER_num(suites), 5);
  for (int i = 0; i < sk_SSL_CIPHER_num(suites); ++i) {
    const SSL_CIPHER* const suite = sk_SSL_CIPHER_value(suites, i);
    EXPECT_EQ(SSL_CIPHER_is_aead(suite), 1) << SSL_CIPHER_get_name(suite);
    const int exchange = SSL_CIPHER_get_kx_nid(suite);
    EXPECT_TRUE(exchange == NID_kx_ecdhe || exchange == NID_kx_any)
        << SSL_CIPHER_get_name(suite);
  }
}

TEST(TlsSettings, UnknownSuitesAreRefused) {
  test::FakeClock clock;
  Store store(clock);
  const Texts texts = texts_of(make_server("x"));
  const auto fallback = store.make_default("", texts.pem());
  ASSERT_TRUE(fallback);
  Options options;
  options.ciphers = "NO-SUCH-SUITE";
  const auto made = Context::make(options, *fallback);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("NO-SUCH-SUITE"), std::string::npos);
}

// A connection whose client has written `bytes` and, if `ends`, left.
Failure failure_of(Server& server, const std::string& bytes) {
  Connection connection;
  EXPECT_TRUE(connection.open(*server.context, server.view));
  BIO* const in = BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size()));
  BIO_set_mem_eof_return(in, 0);
  SSL_set_bio(connection.ssl(), in, BIO_new(BIO_s_null()));
  EXPECT_EQ(connection.handshake(server.counters),
            Connection::Progress::kFailed);
  return connection.failure();
}

TEST(TlsFailures, AreToldApart) {
  Server server;
  EXPECT_EQ(failure_of(server, ""), Failure::kClosed);
  EXPECT_EQ(failure_of(server, "GET / HTTP/1.1\r\n\r\n"), Failure::kNotTls);
  EXPECT_EQ(failure_of(server, std::string(64, 'x')), Failure::kNotTls);
  Ask distrustful;
  distrustful.verifies = true;
  EXPECT_EQ(server.handshake(distrustful).failure, Failure::kClientAlert);
  EXPECT_EQ(failure_of(server, std::string("\x16\x03\x01\x00\x04\x01\x00", 7)),
            Failure::kClosed);
  EXPECT_EQ(failure_of(server,
                       std::string("\x16\x03\x01\x00\x05\x01\x00\x00\x01x", 10)),
            Failure::kProtocol);
}

// Renegotiation that the client asks for is refused with a warning, and the
// connection goes on or ends; it never begins a handshake.
TEST(TlsSettings, ClientCannotRenegotiate) {
  Server server;
  const SslContextPtr clients(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_max_proto_version(clients.get(), TLS1_2_VERSION);
  const SslPtr client(SSL_new(clients.get()));
  Connection connection;
  ASSERT_TRUE(connection.open(*server.context, server.view));
  BIO* one = nullptr;
  BIO* other = nullptr;
  ASSERT_EQ(BIO_new_bio_pair(&one, 1 << 16, &other, 1 << 16), 1);
  SSL_set_bio(client.get(), one, one);
  SSL_set_bio(connection.ssl(), other, other);
  SSL_set_connect_state(client.get());
  for (int i = 0; i < 4; ++i) {
    SSL_do_handshake(client.get());
    (void)connection.handshake(server.counters);
  }
  ASSERT_EQ(SSL_is_init_finished(client.get()), 1);
  ASSERT_EQ(SSL_renegotiate(client.get()), 1);
  SSL_do_handshake(client.get());
  char byte = 0;
  EXPECT_LE(SSL_read(connection.ssl(), &byte, 1), 0);
  EXPECT_EQ(SSL_is_init_finished(connection.ssl()), 1);
  EXPECT_LE(SSL_do_handshake(client.get()), 0);
  EXPECT_NE(SSL_get_error(client.get(), -1), SSL_ERROR_NONE);
  ERR_clear_error();
}

std::size_t bytes_in_use() { return mallinfo2().uordblks; }

// Nothing is kept of names that nobody has, be they long or never the same:
// memory stops growing (OpenSSL's own tables fill at first). To keep only the
// names would be 50 KiB a round.
TEST(TlsNames, UnknownOnesLeaveNothingBehind) {
  constexpr int kRound = 400;
  constexpr int kRoundsMost = 30;
  Server server;
  int next = 0;
  const auto visit_round = [&] {
    const std::size_t before = bytes_in_use();
    for (int i = 0; i < kRound; ++i, ++next) {
      Ask ask;
      ask.name = std::to_string(next) + ".unknown.example.org";
      if (i % 2 != 0) ask.name.insert(0, 255 - ask.name.size(), 'x');
      ask.version = i % 4 < 2 ? TLS1_2_VERSION : TLS1_3_VERSION;
      EXPECT_TRUE(server.handshake(ask).done);
    }
    const std::size_t after = bytes_in_use();
    return after - std::min(before, after);
  };
  int rounds = 0;
  while (visit_round() > 1024 && rounds < kRoundsMost) ++rounds;
  EXPECT_LT(rounds, kRoundsMost);
  EXPECT_EQ(server.store.size(), 0U);
}

}  // namespace
}  // namespace fealty::sni
