#include "legion/announce.h"

#include <gtest/gtest.h>

#include <string>

#include "legion/cipher.h"
#include "tests/unit/legion/support.h"

namespace fealty::legion {
namespace {

using test::uuid_of;
using test::vector_file;

std::string pair(std::string_view key, std::string_view value) {
  std::string out;
  const auto add = [&](std::string_view text) {
    out += static_cast<char>(text.size() & 0xFF);
    out += static_cast<char>(text.size() >> 8);
    out += text;
  };
  add(key);
  add(value);
  return out;
}

Announce sample() {
  Announce announce;
  announce.legion = "cluster";
  announce.valor = 98;
  announce.unix_s = 1'795'308'708;
  announce.lord_since_s = 1'795'308'000;
  announce.name = "host";
  announce.pid = 77;
  announce.uuid = uuid_of('a');
  announce.checksum = UINT64_MAX;
  announce.vote = {98, uuid_of('b')};
  announce.scroll = "10.1.0.1";
  announce.sequence = 9;
  announce.heard = {{uuid_of('b'), 4}, {uuid_of('c'), UINT64_MAX}};
  announce.links = 3;
  announce.hurry = true;
  announce.idle = true;
  announce.tolerance_ms = 15'000;
  announce.quorum = 2;
  announce.unbound = true;
  return announce;
}

std::string minimal() {
  return pair("legion", "l") + pair("valor", "1") + pair("unix", "2") +
         pair("uuid", std::string(36, 'u')) + pair("checksum", "3") +
         pair("lord_valor", "0") + pair("lord_uuid", std::string(36, '\0'));
}

TEST(Announce, RealUwsgiPacketIsRead) {
  const auto cipher = UwsgiCipher::make("aes-128-cbc", "secret", "");
  ASSERT_TRUE(cipher);
  for (const char* const name : {"legion.0.bin", "legion.1.bin"}) {
    const auto clear = cipher->open(vector_file(name));
    ASSERT_TRUE(clear) << name;
    const auto announce = decode_announce(*clear, Wire::kUwsgi);
    ASSERT_TRUE(announce) << announce.error().why;
    EXPECT_EQ(announce->legion, "cluster");
    EXPECT_EQ(announce->valor, 98U);
    EXPECT_EQ(announce->lord_since_s, 0);
    EXPECT_EQ(announce->name, "vm");
    EXPECT_EQ(announce->pid, 9039U);
    EXPECT_EQ(announce->uuid.text(), "e36a33e5-2385-40ec-b211-22154c05b477");
    EXPECT_EQ(announce->checksum, 0U);
    EXPECT_EQ(announce->vote, Vote{});
    EXPECT_EQ(announce->scroll, "hello");
    EXPECT_FALSE(announce->dead);
  }
}

TEST(Announce, RealUwsgiPacketIsMadeByteForByte) {
  const auto cipher = UwsgiCipher::make("aes-128-cbc", "secret", "");
  ASSERT_TRUE(cipher);
  const std::string datagram = vector_file("legion.0.bin");
  const auto announce =
      decode_announce(*cipher->open(datagram), Wire::kUwsgi);
  ASSERT_TRUE(announce);
  const auto again = encode_announce(*announce, Wire::kUwsgi);
  ASSERT_TRUE(again);
  EXPECT_EQ(cipher->seal(*again), datagram);
}

TEST(Announce, SealedWireCarriesEverything) {
  const auto clear = encode_announce(sample(), Wire::kSealed);
  ASSERT_TRUE(clear);
  const auto read = decode_announce(*clear, Wire::kSealed);
  ASSERT_TRUE(read) << read.error().why;
  EXPECT_EQ(read->checksum, UINT64_MAX);
  EXPECT_EQ(read->vote, (Vote{98, uuid_of('b')}));
  EXPECT_EQ(read->sequence, 9U);
  ASSERT_EQ(read->heard.size(), 2U);
  EXPECT_EQ(read->heard[1].uuid, uuid_of('c'));
  EXPECT_EQ(read->tolerance_ms, 15'000);
  EXPECT_EQ(read->quorum, 2U);
  EXPECT_TRUE(read->unbound);
  EXPECT_TRUE(read->sealed);
  EXPECT_EQ(read->heard[1].sequence, UINT64_MAX);
  EXPECT_EQ(read->links, 3U);
  EXPECT_TRUE(read->hurry);
  EXPECT_TRUE(read->idle);
  EXPECT_FALSE(read->dead);
}

TEST(Announce, UwsgiWireHasNothingThatUwsgiDoesNotSend) {
  const auto clear = encode_announce(sample(), Wire::kUwsgi);
  ASSERT_TRUE(clear);
  for (const char* const key : {"seq", "heard", "links", "idle", "hurry",
                                "tolerance", "quorum", "unbound", "dead"}) {
    EXPECT_EQ(clear->find(key), std::string::npos) << key;
  }
}

TEST(Announce, MinimalIsTakenAndUnknownKeysArePassedOver) {
  EXPECT_TRUE(decode_announce(minimal(), Wire::kUwsgi));
  EXPECT_TRUE(decode_announce(pair("new", "1") + minimal() + pair("seq", "x"),
                              Wire::kUwsgi));
}

TEST(Announce, LiesAreRefused) {
  const std::string whole = minimal();
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    EXPECT_FALSE(decode_announce(whole.substr(0, bytes), Wire::kUwsgi)) << bytes;
  }
  EXPECT_FALSE(decode_announce(whole + pair("valor", "1"), Wire::kUwsgi));
  EXPECT_FALSE(decode_announce(whole + pair("lord", "-1"), Wire::kUwsgi));
  EXPECT_FALSE(decode_announce(whole + pair("lord", "+1"), Wire::kUwsgi));
  EXPECT_FALSE(decode_announce(whole + pair("lord", ""), Wire::kUwsgi));
  EXPECT_FALSE(decode_announce(whole + pair("lord", "9223372036854775808"),
                               Wire::kUwsgi));
  EXPECT_FALSE(decode_announce(whole + pair("dead", "2"), Wire::kUwsgi));
  EXPECT_FALSE(decode_announce(
      whole + pair("name", std::string(kHostNameMax + 1, 'n')), Wire::kUwsgi));
  EXPECT_FALSE(decode_announce(
      whole + pair("scroll", std::string(kScrollMax + 1, 's')), Wire::kUwsgi));
}

TEST(Announce, UuidIsThirtySixVisibleCharactersOrNone) {
  Uuid uuid;
  EXPECT_TRUE(Uuid::parse(std::string(36, '\0'), uuid));
  EXPECT_TRUE(uuid.empty());
  EXPECT_FALSE(Uuid::parse(std::string(35, 'a'), uuid));
  EXPECT_FALSE(Uuid::parse(std::string(37, 'a'), uuid));
  EXPECT_FALSE(Uuid::parse(std::string(35, 'a') + '\0', uuid));
  EXPECT_FALSE(Uuid::parse(std::string(35, 'a') + '\n', uuid));
  const Uuid one = Uuid::draw();
  EXPECT_NE(one, Uuid::draw());
  EXPECT_TRUE(Uuid::parse(one.text(), uuid));
  EXPECT_EQ(uuid, one);
}

TEST(Announce, SealedWireNeedsItsSequenceNumber) {
  Announce announce = sample();
  announce.sequence = 0;
  const auto clear = encode_announce(announce, Wire::kSealed);
  ASSERT_TRUE(clear);
  EXPECT_FALSE(decode_announce(*clear, Wire::kSealed));
  EXPECT_FALSE(decode_announce(*encode_announce(sample(), Wire::kUwsgi),
                               Wire::kSealed));
}

TEST(Announce, MoreHeardThanMembersMayBeIsRefused) {
  Announce announce = sample();
  announce.heard.assign(kMembersMax, {uuid_of('x'), 1});
  EXPECT_TRUE(decode_announce(*encode_announce(announce, Wire::kSealed),
                              Wire::kSealed));
  announce.heard.push_back({uuid_of('x'), 1});
  EXPECT_FALSE(decode_announce(*encode_announce(announce, Wire::kSealed),
                               Wire::kSealed));
}

TEST(Announce, TooLongAScrollIsSaid) {
  Announce announce = sample();
  announce.scroll.assign(kClearTextMax, 's');
  const auto clear = encode_announce(announce, Wire::kUwsgi);
  ASSERT_FALSE(clear);
  EXPECT_NE(clear.error().message.find("shorten the scroll"), std::string::npos);
}

TEST(Announce, ChecksumIsValorAndTheUuidsBytes) {
  // As real uWSGI announced it.
  Uuid uuid;
  ASSERT_TRUE(Uuid::parse("a4b7a2d4-a353-4204-9a31-4259119eaaaf", uuid));
  EXPECT_EQ(checksum_part(10, uuid), 2360U);
}

}  // namespace
}  // namespace fealty::legion
