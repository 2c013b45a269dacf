#include "http/chunked.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>

#include "tests/unit/http/chunked_model.h"
#include "tests/unit/http/random_text.h"

namespace fealty::http {
namespace {

using namespace std::string_literals;
using Step = ChunkedDecoder::Step;

test::Fed at_once(std::string_view in) {
  return test::feed_chunked(in, [&] { return in.size(); });
}

test::Fed byte_by_byte(std::string_view in) {
  return test::feed_chunked(in, [] { return std::size_t{1}; });
}

// The verdict, which must not hang on how the bytes come.
Step verdict(std::string_view in) {
  const test::Fed whole = at_once(in);
  const test::Fed bytes = byte_by_byte(in);
  const test::ChunkedModel model(in);
  EXPECT_EQ(whole.step, bytes.step);
  EXPECT_EQ(whole.consumed, bytes.consumed);
  EXPECT_EQ(whole.data, bytes.data);
  EXPECT_EQ(whole.step, model.step);
  EXPECT_EQ(whole.data, model.data);
  return whole.step;
}

std::string chunks_of(std::string_view data, std::size_t size) {
  std::string made;
  while (!data.empty()) {
    const std::string_view part = data.substr(0, size);
    std::array<char, 24> line{};
    std::snprintf(line.data(), line.size(), "%zx\r\n", part.size());
    made += line.data();
    made += part;
    made += "\r\n";
    data.remove_prefix(part.size());
  }
  return made;
}

TEST(Chunked, ChunksAreJoined) {
  const std::string in = "5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n";
  const test::Fed fed = at_once(in);
  EXPECT_EQ(fed.step, Step::kEnd);
  EXPECT_EQ(fed.data, "hello, world");
  EXPECT_EQ(fed.consumed, in.size());
  EXPECT_EQ(verdict(in), Step::kEnd);
}

TEST(Chunked, EmptyBodyEnds) {
  EXPECT_EQ(verdict("0\r\n\r\n"), Step::kEnd);
  EXPECT_EQ(verdict("0000000000000000\r\n\r\n"), Step::kEnd);
  EXPECT_EQ(verdict(""), Step::kMore);
}

TEST(Chunked, WhatFollowsTheBodyIsLeft) {
  const test::Fed fed = at_once("1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n");
  EXPECT_EQ(fed.step, Step::kEnd);
  EXPECT_EQ(fed.data, "a");
  EXPECT_EQ(fed.consumed, 11U);
}

TEST(Chunked, EveryCutNeedsMore) {
  const std::string in =
      "5;a=b;c=\"d\\\"e\"\r\nhello\r\nA\r\n0123456789\r\n0;x\r\nT: v\r\n\r\n";
  ASSERT_EQ(verdict(in), Step::kEnd);
  for (std::size_t cut = 0; cut < in.size(); ++cut) {
    EXPECT_EQ(verdict(std::string_view(in).substr(0, cut)), Step::kMore) << cut;
  }
}

TEST(Chunked, SizesAreHexadecimalInAnyCase) {
  const std::string data(0x2aF, 'x');
  for (const char* size : {"2af", "2AF", "2aF", "002aF"}) {
    const test::Fed fed =
        at_once(size + "\r\n"s + data + "\r\n0\r\n\r\n");
    EXPECT_EQ(fed.step, Step::kEnd) << size;
    EXPECT_EQ(fed.data, data) << size;
  }
}

TEST(Chunked, MalformedSizesAreBad) {
  for (const auto& in :
       {"\r\n"s, "x\r\n"s, "g\r\n"s, "-1\r\n"s, "+1\r\n"s, "0x1\r\n"s,
        " 1\r\n"s, "1 \r\n"s, "1\t\r\n"s, "\t1\r\n"s, "1\n"s, "1\r1"s,
        "1\r\r\n"s, "1 1\r\n"s, "1,\r\n"s, "1:\r\n"s, "\0"s, "1\0\r\n"s,
        "\n"s, ";\r\n"s, "1.0\r\n"s}) {
    EXPECT_EQ(verdict(in), Step::kBad) << testing::PrintToString(in);
  }
}

TEST(Chunked, SizesThatOverflowAreBad) {
  EXPECT_EQ(verdict("7fffffffffffffff\r\n"), Step::kMore);
  EXPECT_EQ(verdict("8000000000000000"), Step::kBad);
  EXPECT_EQ(verdict("ffffffffffffffff"), Step::kBad);
  EXPECT_EQ(verdict("10000000000000000"), Step::kBad);
  EXPECT_EQ(verdict("00000000000000001"), Step::kBad);
  EXPECT_EQ(verdict("0000000000000001\r\n"), Step::kMore);
}

TEST(Chunked, ChunkWithoutItsLineEndIsBad) {
  for (const auto& in :
       {"1\r\nab"s, "1\r\na\n"s, "1\r\na\rb"s, "1\r\na0\r\n\r\n"s,
        "1\r\na\r\r\n"s, "0\r\n\n"s, "0\n\r\n"s, "0\r\n\rx"s}) {
    EXPECT_EQ(verdict(in), Step::kBad) << testing::PrintToString(in);
  }
}

TEST(Chunked, ExtensionsOfTheGrammarPass) {
  for (const char* extension :
       {";a", ";a=b", ";a=\"b\"", ";a=\"\"", ";a=\"b c;d\t\x80\"",
        ";a=\"b\\\"c\\\\\"", ";a;b=c;d=\"e\"", ";!#$%&'*+-.^_`|~=1"}) {
    EXPECT_EQ(verdict("1"s + extension + "\r\nx\r\n0" + extension + "\r\n\r\n"),
              Step::kEnd)
        << extension;
  }
}

TEST(Chunked, OtherExtensionsAreBad) {
  for (const auto& extension :
       {";"s, ";;a"s, ";=b"s, ";a="s, ";a=;b"s, "; a"s, ";a =b"s, ";a= b"s,
        ";a b"s, ";a=\"b\"c"s, ";a=\"b\" "s, ";a=b\"c\""s, ";a=(b)"s,
        ";a=\"b\x01\""s, ";a=\"b\\\x01\""s, ";a\n"s, ";a=b\n"s, ";a,b"s,
        ";a=\"\x7f\""s, ";a\x80"s, ";a=\"\0\""s}) {
    EXPECT_EQ(verdict("1"s + extension + "\r\nx\r\n0\r\n\r\n"), Step::kBad)
        << testing::PrintToString(extension);
  }
  // The quote swallows the line's end.
  EXPECT_EQ(verdict("1;a=\"b\r\nx\r\n0\r\n\r\n"), Step::kBad);
}

TEST(Chunked, SizeLineIsBounded) {
  const auto line = [](std::size_t bytes) {
    // Size, ";", and a name; the CR counts too.
    return "1;" + std::string(bytes - 3, 'a') + "\r\nx\r\n0\r\n\r\n";
  };
  EXPECT_EQ(verdict(line(ChunkedDecoder::kLineBytesMax)), Step::kEnd);
  EXPECT_EQ(verdict(line(ChunkedDecoder::kLineBytesMax + 1)), Step::kBad);
}

TEST(Chunked, SizeLineIsBoundedInEveryChunkAnew) {
  const std::string chunk = "1;" + std::string(200, 'a') + "\r\nx\r\n";
  std::string in;
  for (int i = 0; i < 10; ++i) in += chunk;
  EXPECT_EQ(verdict(in + "0\r\n\r\n"), Step::kEnd);
}

TEST(Chunked, TrailersAreDropped) {
  const test::Fed fed = at_once(
      "1\r\nx\r\n0\r\nX-Sum: \x80 1\t2\r\nEmpty:\r\nX-Sum: 2\r\n\r\nrest");
  EXPECT_EQ(fed.step, Step::kEnd);
  EXPECT_EQ(fed.data, "x");
}

TEST(Chunked, TrailersThatFrameOrRouteAreBad) {
  for (const char* name :
       {"Content-Length", "Transfer-Encoding", "Host", "Connection", "TE",
        "Trailer", "Content-Type", "Expect", "content-length", "HOST"}) {
    EXPECT_EQ(verdict("0\r\n"s + name + ": 1\r\n\r\n"), Step::kBad) << name;
    EXPECT_EQ(verdict("0\r\n"s + name + "x: 1\r\n\r\n"), Step::kEnd) << name;
    EXPECT_EQ(verdict("0\r\nA: b\r\n"s + name + ":\r\n\r\n"), Step::kBad)
        << name;
  }
}

TEST(Chunked, MalformedTrailersAreBad) {
  for (const auto& trailer :
       {": a"s, "a b: c"s, "a : b"s, " a: b"s, "\ta: b"s, "a"s, "a\n"s,
        "a: b\n"s, "a: b\rc"s, "a: \x01"s, "a: \x7f"s, "a: \0"s, "(a): b"s,
        "a\x80: b"s}) {
    EXPECT_EQ(verdict("0\r\n" + trailer + "\r\n\r\n"), Step::kBad)
        << testing::PrintToString(trailer);
  }
}

TEST(Chunked, LongTrailerNameIsNoForbiddenOne) {
  EXPECT_EQ(verdict("0\r\n" + std::string(100, 'n') + ": v\r\n\r\n"),
            Step::kEnd);
  EXPECT_EQ(verdict("0\r\ntransfer-encodings: v\r\n\r\n"), Step::kEnd);
  EXPECT_EQ(verdict("0\r\ntransfer-encoding2: v\r\n\r\n"), Step::kEnd);
}

TEST(Chunked, TrailersAreBounded) {
  const auto trailers = [](std::size_t bytes) {
    return "0\r\na:" + std::string(bytes - 6, 'b') + "\r\n\r\n";
  };
  EXPECT_EQ(verdict(trailers(ChunkedDecoder::kTrailerBytesMax)), Step::kEnd);
  EXPECT_EQ(verdict(trailers(ChunkedDecoder::kTrailerBytesMax + 1)),
            Step::kBad);
}

TEST(Chunked, ChunksOfOneByteAreNoAttack) {
  const std::string data(200'000, 'x');
  const test::Fed fed = at_once(chunks_of(data, 1) + "0\r\n\r\n");
  EXPECT_EQ(fed.step, Step::kEnd);
  EXPECT_EQ(fed.data, data);
}

TEST(Chunked, FramingThatOutweighsTheBodyIsBad) {
  const std::string chunk = "1;" + std::string(240, 'a') + "\r\nx\r\n";
  std::string in;
  while (in.size() < 2 * ChunkedDecoder::kOverheadBytesMax) in += chunk;
  const test::Fed fed = at_once(in);
  EXPECT_EQ(fed.step, Step::kBad);
  EXPECT_GT(fed.consumed, ChunkedDecoder::kOverheadBytesMax);
  EXPECT_LT(fed.consumed, ChunkedDecoder::kOverheadBytesMax * 11 / 10);
  EXPECT_EQ(verdict(in), Step::kBad);
}

TEST(Chunked, BadAndEndStay) {
  ChunkedDecoder decoder;
  std::string in = "x";
  EXPECT_EQ(decoder.decode(in).step, Step::kBad);
  in = "1\r\na\r\n";
  const auto after_bad = decoder.decode(in);
  EXPECT_EQ(after_bad.step, Step::kBad);
  EXPECT_EQ(after_bad.data_bytes, 0U);
  decoder = {};
  in = "0\r\n\r\n";
  EXPECT_EQ(decoder.decode(in).step, Step::kEnd);
  in = "1\r\na\r\n";
  const auto after_end = decoder.decode(in);
  EXPECT_EQ(after_end.step, Step::kEnd);
  EXPECT_EQ(after_end.consumed, 0U);
  EXPECT_EQ(after_end.data_bytes, 0U);
}

TEST(Chunked, NoBytesChangeNothing) {
  ChunkedDecoder decoder;
  const auto result = decoder.decode({});
  EXPECT_EQ(result.step, Step::kMore);
  EXPECT_EQ(result.consumed, 0U);
}

TEST(Chunked, RandomBodiesComeBackHoweverTheyAreSplit) {
  test::Random random;
  for (int round = 0; round < 2'000; ++round) {
    const std::string data = random.bytes(random.below(3'000));
    std::string in = chunks_of(data, 1 + random.below(400)) + "0\r\n";
    if (random.one_in(2)) in += "X-Trailer: value\r\n";
    in += "\r\n";
    const std::string with_next = in + random.bytes(random.below(20));
    const std::size_t most = 1 + random.below(300);
    const test::Fed fed = test::feed_chunked(
        with_next, [&] { return 1 + random.below(most); });
    ASSERT_EQ(fed.step, Step::kEnd);
    ASSERT_EQ(fed.consumed, in.size());
    ASSERT_EQ(fed.data, data);
  }
}

TEST(Chunked, RandomInputAgreesWithTheModel) {
  test::Random random;
  const std::string valid =
      "5;ab=\"c\\\"d\";e=f\r\nhello\r\n10\r\n0123456789abcdef\r\n1\r\nx\r\n"
      "0;g\r\nTe-st: value\r\nTe: x\r\n\r\nrest";
  const std::string alphabet =
      "0123456789abcdefABCDEFg;=\"\\\r\n\r\n: \t\x80T" + std::string(1, '\0');
  for (int round = 0; round < 50'000; ++round) {
    std::string in = valid;
    for (std::size_t i = random.below(4); i > 0; --i) {
      const std::size_t at = random.below(in.size());
      switch (random.below(3)) {
        case 0: in[at] = random.of(alphabet); break;
        case 1: in.insert(at, random.text(1, alphabet)); break;
        default: in.erase(at, 1 + random.below(3)); break;
      }
    }
    const test::ChunkedModel model(in);
    const test::Fed fed = test::feed_chunked(
        in, [&] { return 1 + random.below(30); });
    ASSERT_EQ(fed.step, model.step) << testing::PrintToString(in);
    ASSERT_EQ(fed.data, model.data) << testing::PrintToString(in);
    ASSERT_EQ(fed.consumed, model.consumed) << testing::PrintToString(in);
  }
}

}  // namespace
}  // namespace fealty::http
