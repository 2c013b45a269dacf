#include "sni/ticket_keys.h"

#include <gtest/gtest.h>

#include <vector>

#include "support.h"

namespace fealty::sni {
namespace {

using test::Ask;
using test::Outcome;
using test::Server;
using test::SessionPtr;
using test::texts_of;

std::vector<unsigned char> records(std::initializer_list<unsigned char> fills) {
  std::vector<unsigned char> out;
  for (const unsigned char fill : fills) {
    out.insert(out.end(), TicketKey::kBytes, fill);
  }
  return out;
}

TEST(TicketKeyRing, KeysChangeWithTimeAndTheLastTwoStay) {
  TicketKeyRing ring(100, 1000);
  EXPECT_EQ(ring.current()->keys().size(), 1U);
  const auto first = ring.current()->keys()[0].name;
  EXPECT_FALSE(ring.rotate_if_due(1099));
  EXPECT_TRUE(ring.rotate_if_due(1100));
  EXPECT_FALSE(ring.rotate_if_due(1100));
  EXPECT_TRUE(ring.rotate_if_due(1200));
  EXPECT_EQ(ring.current()->keys().size(), 3U);
  EXPECT_EQ(ring.current()->keys()[2].name, first);
  EXPECT_TRUE(ring.rotate_if_due(1300));
  EXPECT_EQ(ring.current()->keys().size(), 3U);
  EXPECT_NE(ring.current()->keys()[2].name, first);
}

TEST(TicketKeyRing, ClockSetBackDoesNotStopTheRotation) {
  TicketKeyRing ring(100, 1000);
  EXPECT_TRUE(ring.rotate_if_due(10));
  EXPECT_FALSE(ring.rotate_if_due(109));
  EXPECT_TRUE(ring.rotate_if_due(110));
}

TEST(TicketKeyRing, WhatWorkersHoldStaysAsItWas) {
  TicketKeyRing ring(100, 1000);
  const TicketKeysPtr held = ring.current();
  EXPECT_TRUE(ring.rotate_if_due(1100));
  EXPECT_EQ(held->keys().size(), 1U);
  EXPECT_NE(held, ring.current());
}

TEST(TicketKeyRing, KeysFromOutsideSealAndAreNotRotated) {
  TicketKeyRing ring(100, 1000);
  const auto own = ring.current()->keys()[0].name;
  EXPECT_TRUE(ring.set(records({1, 2}), 1000));
  ASSERT_EQ(ring.current()->keys().size(), 3U);
  EXPECT_EQ(ring.current()->keys()[0].name[0], 1);
  EXPECT_EQ(ring.current()->keys()[0].cipher[0], 1);
  EXPECT_EQ(ring.current()->keys()[2].name, own);
  EXPECT_FALSE(ring.rotate_if_due(100'000));
  EXPECT_FALSE(ring.set(records({1, 2}), 1000));
  EXPECT_TRUE(ring.set(records({3, 1}), 1000));
  EXPECT_EQ(ring.current()->keys()[2].name[0], 2);
}

TEST(TicketKeyRing, RecordsOutOfShapeChangeNothing) {
  TicketKeyRing ring(100, 1000);
  const TicketKeysPtr before = ring.current();
  auto cut = records({1});
  cut.pop_back();
  EXPECT_FALSE(ring.set(cut, 1000));
  EXPECT_FALSE(ring.set({}, 1000));
  EXPECT_FALSE(ring.set(records({1, 2, 3, 4}), 1000));
  EXPECT_EQ(ring.current(), before);
}

TEST(TicketKeyRing, SuccessorGoesOnWhereThisOneStood) {
  TicketKeyRing ring(100, 1000);
  EXPECT_TRUE(ring.rotate_if_due(1100));
  const SecretBytes saved = ring.save();
  TicketKeyRing next(100, 1150);
  ASSERT_TRUE(next.restore(saved.span()));
  ASSERT_EQ(next.current()->keys().size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(next.current()->keys()[i].name, ring.current()->keys()[i].name);
    EXPECT_EQ(next.current()->keys()[i].mac, ring.current()->keys()[i].mac);
  }
  EXPECT_FALSE(next.rotate_if_due(1199));
  EXPECT_TRUE(next.rotate_if_due(1200));
}

TEST(TicketKeyRing, SharedSecretAndTheTimeMakeTheSameKeysEverywhere) {
  TicketKeyRing one(100, 1000);
  TicketKeyRing two(100, 1234);
  EXPECT_TRUE(one.derive_from("secret", 1000));
  EXPECT_FALSE(one.derive_from("secret", 1099));
  EXPECT_TRUE(two.derive_from("secret", 1010));
  const auto& keys = one.current()->keys();
  ASSERT_EQ(keys.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(two.current()->keys()[i].name, keys[i].name);
    EXPECT_EQ(two.current()->keys()[i].cipher, keys[i].cipher);
    EXPECT_EQ(two.current()->keys()[i].mac, keys[i].mac);
  }
  EXPECT_NE(keys[0].name, keys[1].name);
  EXPECT_NE(keys[0].cipher, keys[0].mac);
  TicketKeyRing other(100, 1000);
  EXPECT_TRUE(other.derive_from("another", 1000));
  EXPECT_NE(other.current()->keys()[0].name, keys[0].name);
  EXPECT_NE(other.current()->keys()[0].cipher, keys[0].cipher);
}

bool opens(const TicketKeyRing& ring, const TicketKey& key) {
  for (const TicketKey& each : ring.current()->keys()) {
    if (each.name == key.name && each.mac == key.mac) return true;
  }
  return false;
}

TEST(TicketKeyRing, ClocksMayDifferByAnEpoch) {
  TicketKeyRing slow(100, 0);
  TicketKeyRing fast(100, 0);
  EXPECT_TRUE(slow.derive_from("secret", 1050));
  EXPECT_TRUE(fast.derive_from("secret", 1149));
  const TicketKey of_slow = slow.current()->keys()[0];
  const TicketKey of_fast = fast.current()->keys()[0];
  EXPECT_NE(of_slow.name, of_fast.name);
  EXPECT_TRUE(opens(slow, of_fast));
  EXPECT_TRUE(opens(fast, of_slow));
  EXPECT_FALSE(fast.rotate_if_due(1199));
  EXPECT_TRUE(fast.rotate_if_due(1200));
  EXPECT_FALSE(opens(fast, of_slow)) << "its tickets have ended";
}

TEST(TicketKeyRing, SuccessorGoesOnDeriving) {
  TicketKeyRing ring(100, 1000);
  EXPECT_TRUE(ring.derive_from("secret", 1000));
  TicketKeyRing next(100, 1000);
  ASSERT_TRUE(next.restore(ring.save().span()));
  EXPECT_TRUE(next.derives());
  EXPECT_TRUE(ring.rotate_if_due(1100));
  EXPECT_TRUE(next.rotate_if_due(1100));
  EXPECT_EQ(next.current()->keys()[0].name, ring.current()->keys()[0].name);
}

TEST(TicketKeyRing, WhatASecretGaveEndsWithIt) {
  TicketKeyRing ring(100, 1000);
  EXPECT_FALSE(ring.make_own(1000)) << "they are its own";
  EXPECT_TRUE(ring.derive_from("secret", 1000));
  const TicketKeysPtr before = ring.current();
  EXPECT_TRUE(ring.make_own(1010));
  EXPECT_FALSE(ring.derives());
  ASSERT_EQ(ring.current()->keys().size(), 1U);
  for (const TicketKey& key : before->keys()) {
    EXPECT_FALSE(opens(ring, key));
  }
  EXPECT_FALSE(ring.rotate_if_due(1109));
  EXPECT_TRUE(ring.rotate_if_due(1110));
}

TEST(TicketKeyRing, OtherBytesAreNotRestored) {
  TicketKeyRing ring(100, 1000);
  const TicketKeysPtr before = ring.current();
  const SecretBytes saved = ring.save();
  EXPECT_FALSE(ring.restore({}));
  EXPECT_FALSE(ring.restore(saved.span().first(saved.size() - 1)));
  EXPECT_FALSE(ring.restore(records({1, 2})));
  EXPECT_EQ(ring.current(), before);
}

class Tickets : public testing::TestWithParam<int> {
 protected:
  Outcome ask(Server& server, SessionPtr session = nullptr) {
    Ask ask;
    ask.version = GetParam();
    ask.session = std::move(session);
    return server.handshake(ask);
  }
};
INSTANTIATE_TEST_SUITE_P(Tls, Tickets,
                         testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(Tickets, AreTakenForTwoRotationsAndRenewed) {
  Server server;
  TicketKeyRing ring(100, 0);
  server.view.tickets = ring.current();
  const Outcome first = ask(server);
  ASSERT_NE(first.session, nullptr);
  ASSERT_TRUE(ring.rotate_if_due(100) && ring.rotate_if_due(200));
  server.view.tickets = ring.current();
  const Outcome second = ask(server, first.session);
  EXPECT_TRUE(second.resumed);
  ASSERT_NE(second.session, nullptr);
  ASSERT_TRUE(ring.rotate_if_due(300));
  server.view.tickets = ring.current();
  EXPECT_FALSE(ask(server, first.session).resumed);
  EXPECT_TRUE(ask(server, second.session).resumed);
}

TEST_P(Tickets, AreTakenByAnotherServerWithTheSameKeys) {
  Server one;
  Server other;
  const Outcome first = ask(one);
  EXPECT_FALSE(ask(other, first.session).resumed);
  other.view.tickets = one.view.tickets;
  EXPECT_TRUE(ask(other, first.session).resumed);
}

TEST_P(Tickets, ForgedOnesAreNoSession) {
  Server server;
  const Outcome first = ask(server);
  ASSERT_NE(first.session, nullptr);
  int bytes = i2d_SSL_SESSION(first.session.get(), nullptr);
  std::vector<unsigned char> text(static_cast<std::size_t>(bytes));
  unsigned char* at = text.data();
  i2d_SSL_SESSION(first.session.get(), &at);
  const unsigned char* ticket = nullptr;
  std::size_t ticket_bytes = 0;
  SSL_SESSION_get0_ticket(first.session.get(), &ticket, &ticket_bytes);
  const auto place = std::search(text.begin(), text.end(), ticket,
                                 ticket + ticket_bytes);
  ASSERT_NE(place, text.end());
  *(place + static_cast<std::ptrdiff_t>(ticket_bytes) / 2) ^= 1;
  const unsigned char* from = text.data();
  const SessionPtr forged(
      d2i_SSL_SESSION(nullptr, &from, static_cast<long>(text.size())),
      SSL_SESSION_free);
  ASSERT_NE(forged, nullptr);
  const Outcome second = ask(server, forged);
  EXPECT_TRUE(second.done);
  EXPECT_FALSE(second.resumed);
}

TEST_P(Tickets, NoneWithoutKeysOrWhenTurnedOff) {
  Server server;
  server.view.tickets = nullptr;
  const Outcome without = ask(server);
  EXPECT_TRUE(without.done);
  EXPECT_FALSE(ask(server, without.session).resumed);

  Options options;
  options.tickets.enabled = false;
  Server off(options);
  const Outcome first = ask(off);
  EXPECT_TRUE(first.done);
  EXPECT_FALSE(ask(off, first.session).resumed);
}

}  // namespace
}  // namespace fealty::sni
