#include "wire/uwsgi_packet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support.h"

namespace fealty::wire {
namespace {

using namespace std::string_view_literals;
using test::vector_file;
using testing::ElementsAre;
using testing::Pair;
using Step = UwsgiPairReader::Step;
using Pairs = std::vector<std::pair<std::string, std::string>>;

Pairs decode(std::string_view data, Step* last = nullptr) {
  Pairs pairs;
  UwsgiPairReader reader(data);
  UwsgiPair pair;
  Step step = Step::kEnd;
  while ((step = reader.next(pair)) == Step::kPair) {
    EXPECT_EQ(data.substr(pair.offset + 2, pair.key.size()), pair.key);
    pairs.emplace_back(pair.key, pair.value);
  }
  if (last != nullptr) *last = step;
  return pairs;
}

std::string encode(const Pairs& pairs, std::uint8_t modifier1,
                   std::uint8_t modifier2, std::size_t room = 70'000) {
  std::vector<char> buffer(room);
  UwsgiWriter writer(buffer);
  for (const auto& [key, value] : pairs) writer.add(key, value);
  const auto packet = writer.finish(modifier1, modifier2);
  return {packet.begin(), packet.end()};
}

TEST(UwsgiHeader, BytesAreInTheirOrder) {
  const auto header = decode_uwsgi_header("\xe0\x34\x12\x01xyz"sv);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->modifier1, 224);
  EXPECT_EQ(header->data_bytes, 0x1234);
  EXPECT_EQ(header->modifier2, 1);
  std::array<char, 4> out{};
  encode_uwsgi_header(out.data(), *header);
  EXPECT_EQ(std::string_view(out.data(), 4), "\xe0\x34\x12\x01"sv);
}

TEST(UwsgiHeader, LessThanFourBytesIsNone) {
  EXPECT_FALSE(decode_uwsgi_header(""));
  EXPECT_FALSE(decode_uwsgi_header("\xe0\x00\x00"sv));
  EXPECT_TRUE(decode_uwsgi_header("\xe0\x00\x00\x00"sv));
}

TEST(UwsgiPairReader, CapturedPacketIsRead) {
  const std::string packet = vector_file("plain.0.bin");
  EXPECT_THAT(decode(std::string_view(packet).substr(4)),
              ElementsAre(Pair("key", "foo.example.com"),
                          Pair("address", "127.0.0.1:41100"),
                          Pair("modifier1", "0"), Pair("modifier2", "0"),
                          Pair("cores", "1"), Pair("load", "0"),
                          Pair("weight", "0")));
}

TEST(UwsgiWriter, CapturedPacketsAreWrittenByteForByte) {
  for (const char* name :
       {"plain.0.bin", "plain.1.bin", "signed.0.bin", "signed.1.bin"}) {
    const std::string packet = vector_file(name);
    const auto header = decode_uwsgi_header(packet);
    ASSERT_TRUE(header) << name;
    const Pairs pairs = decode(std::string_view(packet).substr(4));
    EXPECT_EQ(encode(pairs, header->modifier1, header->modifier2), packet)
        << name;
  }
}

TEST(UwsgiPairReader, EmptyDataHasNoPairs) {
  Step last = Step::kPair;
  EXPECT_TRUE(decode("", &last).empty());
  EXPECT_EQ(last, Step::kEnd);
  EXPECT_TRUE(decode(std::string_view(), &last).empty());
  EXPECT_EQ(last, Step::kEnd);
}

TEST(UwsgiPairReader, EmptyKeysAndValuesArePairs) {
  EXPECT_THAT(decode("\0\0\0\0"sv), ElementsAre(Pair("", "")));
}

TEST(UwsgiPairReader, LengthBeyondTheDataIsMalformed) {
  for (const auto data :
       {"\x01"sv, "\x01\x00"sv, "\x01\x00k"sv, "\x01\x00k\x01"sv,
        "\x01\x00k\x01\x00"sv, "\x01\x00k\xff\xffv"sv, "\xff\xffk"sv,
        "\x00\x01"sv}) {
    Step last = Step::kEnd;
    EXPECT_TRUE(decode(data, &last).empty());
    EXPECT_EQ(last, Step::kMalformed);
  }
}

TEST(UwsgiPairReader, MalformedStaysMalformed) {
  UwsgiPairReader reader("\x01\x00k\x01\x00v\x05\x00x"sv);
  UwsgiPair pair;
  EXPECT_EQ(reader.next(pair), Step::kPair);
  EXPECT_EQ(reader.next(pair), Step::kMalformed);
  EXPECT_EQ(reader.next(pair), Step::kMalformed);
}

TEST(UwsgiPairReader, EveryCutOfAPacketIsMalformedOrShorter) {
  const std::string packet = vector_file("signed.0.bin");
  const std::string_view data = std::string_view(packet).substr(4);
  const Pairs whole = decode(data);
  for (std::size_t cut = 0; cut < data.size(); ++cut) {
    const Pairs some = decode(data.substr(0, cut));
    ASSERT_LT(some.size(), whole.size()) << cut;
    EXPECT_TRUE(std::equal(some.begin(), some.end(), whole.begin())) << cut;
  }
}

TEST(UwsgiWriter, RandomPairsComeBack) {
  const unsigned seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  const auto below = [&](unsigned most) {
    return std::uniform_int_distribution<unsigned>(0, most - 1)(random);
  };
  const auto text = [&](unsigned most) {
    std::string bytes(below(most), '\0');
    for (char& c : bytes) c = static_cast<char>(below(256));
    return bytes;
  };
  for (int round = 0; round < 500; ++round) {
    Pairs pairs;
    for (unsigned i = below(20); i > 0; --i) {
      pairs.emplace_back(text(50), text(1000));
    }
    const auto modifier1 = static_cast<std::uint8_t>(below(256));
    const std::string packet = encode(pairs, modifier1, 7);
    const auto header = decode_uwsgi_header(packet);
    ASSERT_TRUE(header);
    EXPECT_EQ(header->modifier1, modifier1);
    EXPECT_EQ(header->modifier2, 7);
    ASSERT_EQ(header->data_bytes, packet.size() - 4);
    Step last = Step::kMalformed;
    EXPECT_EQ(decode(std::string_view(packet).substr(4), &last), pairs);
    EXPECT_EQ(last, Step::kEnd);
  }
}

TEST(UwsgiWriter, EmptyPacketIsItsHeader) {
  EXPECT_EQ(encode({}, 5, 6), "\x05\x00\x00\x06"sv);
  EXPECT_EQ(encode({}, 5, 6, 4), "\x05\x00\x00\x06"sv);
}

TEST(UwsgiWriter, BufferTooSmallForTheHeaderWritesNothing) {
  for (std::size_t room = 0; room < 4; ++room) {
    EXPECT_EQ(encode({}, 5, 6, room), "") << room;
    EXPECT_EQ(encode({{"a", "b"}}, 5, 6, room), "") << room;
  }
  UwsgiWriter nowhere{std::span<char>()};
  nowhere.add("a", "b");
  EXPECT_FALSE(nowhere.fits());
  EXPECT_TRUE(nowhere.finish(0, 0).empty());
}

TEST(UwsgiWriter, PacketIsWholeOrNotThere) {
  const Pairs pairs = {{"abc", "defg"}, {"hi", "j"}};
  const std::size_t whole = encode(pairs, 0, 0).size();
  EXPECT_EQ(encode(pairs, 0, 0, whole).size(), whole);
  for (std::size_t room = 0; room < whole; ++room) {
    EXPECT_EQ(encode(pairs, 0, 0, room), "") << room;
  }
}

TEST(UwsgiWriter, NothingIsTakenAfterWhatDidNotFit) {
  std::array<char, 32> buffer{};
  UwsgiWriter writer(buffer);
  writer.add("key", std::string(100, 'x'));
  EXPECT_FALSE(writer.fits());
  writer.add("a", "b");
  EXPECT_TRUE(writer.finish(0, 0).empty());
}

TEST(UwsgiWriter, FormatsLargestPacketFitsAndNoLarger) {
  const std::string largest(kUwsgiDataBytesMax - 4 - 1, 'v');
  const std::string packet = encode({{"k", largest}}, 0, 0, 100'000);
  ASSERT_EQ(packet.size(), kUwsgiPacketBytesMax);
  EXPECT_EQ(decode_uwsgi_header(packet)->data_bytes, kUwsgiDataBytesMax);
  EXPECT_EQ(encode({{"k", largest + "v"}}, 0, 0, 100'000), "");
  EXPECT_EQ(encode({{std::string(70'000, 'k'), ""}}, 0, 0, 100'000), "");
}

TEST(UwsgiWriter, ValueMayBeWrittenInPlace) {
  std::array<char, 64> buffer{};
  UwsgiWriter writer(buffer);
  char* const at = writer.begin_pair("PATH_INFO", 3);
  ASSERT_NE(at, nullptr);
  std::memcpy(at, "/ab", 3);
  const auto packet = writer.finish(0, 0);
  EXPECT_THAT(decode({packet.data() + 4, packet.size() - 4}),
              ElementsAre(Pair("PATH_INFO", "/ab")));
}

}  // namespace
}  // namespace fealty::wire
