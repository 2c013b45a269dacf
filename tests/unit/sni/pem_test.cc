#include "sni/pem.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace fealty::sni {
namespace {

using Step = PemReader::Step;

// "label=decoded" of each block; "bad" at the end where it went wrong.
std::vector<std::string> blocks_of(std::string_view text) {
  std::vector<std::string> found;
  PemReader reader(text);
  PemBlock block;
  for (;;) {
    const Step step = reader.next(block);
    if (step == Step::kEnd) return found;
    SecretBytes bytes;
    if (step == Step::kBad) {
      found.emplace_back("bad");
      return found;
    }
    const bool decoded = decode_body(block.body, 1024, bytes);
    found.push_back(std::string(block.label) + '=' +
                    (decoded ? std::string(bytes.view()) : "?") +
                    (block.encrypted ? " encrypted" : ""));
  }
}
using Blocks = std::vector<std::string>;

TEST(PemReader, BlocksComeInOrder) {
  EXPECT_EQ(blocks_of("-----BEGIN A-----\nb25l\n-----END A-----\n"
                      "-----BEGIN B C-----\ndHdv\n-----END B C-----\n"),
            (Blocks{"A=one", "B C=two"}));
}

TEST(PemReader, TextBetweenBlocksIsPassedOver) {
  EXPECT_EQ(blocks_of("subject=CN = x\n\n-----BEGIN A-----\nb25l\n"
                      "-----END A-----\nissuer: y\n"),
            (Blocks{"A=one"}));
  EXPECT_EQ(blocks_of(""), Blocks{});
  EXPECT_EQ(blocks_of("no PEM at all"), Blocks{});
}

TEST(PemReader, LinesMayEndAnyWayAndBeIndented) {
  EXPECT_EQ(blocks_of("  -----BEGIN A-----\r\n  b25\r\n\tl\r\n\r\n"
                      "  -----END A-----"),
            (Blocks{"A=one"}));
}

TEST(PemReader, BlockWithoutItsEndIsBad) {
  EXPECT_EQ(blocks_of("-----BEGIN A-----\nb25l\n"), (Blocks{"bad"}));
  EXPECT_EQ(blocks_of("-----BEGIN A-----"), (Blocks{"bad"}));
  EXPECT_EQ(blocks_of("-----BEGIN A-----\nb25l\n-----END B-----\n"),
            (Blocks{"bad"}));
  EXPECT_EQ(blocks_of("-----END A-----\n"), (Blocks{"bad"}));
}

TEST(PemReader, BlockWithinABlockIsBad) {
  EXPECT_EQ(blocks_of("-----BEGIN A-----\n-----BEGIN B-----\nb25l\n"
                      "-----END B-----\n-----END A-----\n"),
            (Blocks{"bad"}));
}

TEST(PemReader, DamagedMarksAreBad) {
  for (const char* const mark :
       {"-----BEGIN A----", "-----BEGIN -----", "-----BEGIN-----",
        "-----BEGIN a-----", "-----BEGIN A-----x", "-----", "-----BEGIN A\t-----",
        "-----BEGIN AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-----"}) {
    EXPECT_EQ(blocks_of(std::string(mark) + "\nb25l\n-----END A-----\n"),
              (Blocks{"bad"}))
        << mark;
  }
}

TEST(PemReader, NulIsBadWhereverItStands) {
  const std::string block = "-----BEGIN A-----\nb25l\n-----END A-----\n";
  EXPECT_EQ(blocks_of(block + std::string(1, '\0')), (Blocks{"bad"}));
  EXPECT_EQ(blocks_of(std::string(1, '\0') + block), (Blocks{"bad"}));
}

TEST(PemReader, HeadersOfEncryptedKeysAreKnownAndNoOthers) {
  EXPECT_EQ(blocks_of("-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n"
                      "DEK-Info: AES-128-CBC,00\n\nb25l\n-----END A-----\n"),
            (Blocks{"A=one encrypted"}));
  EXPECT_EQ(blocks_of("-----BEGIN A-----\nComment: x\n\nb25l\n"
                      "-----END A-----\n"),
            (Blocks{"bad"}));
}

TEST(DecodeBody, PaddingStandsAtTheEndOnly) {
  const auto decoded = [](std::string_view body) {
    SecretBytes bytes;
    return decode_body(body, 16, bytes) ? std::string(bytes.view()) : "-";
  };
  EXPECT_EQ(decoded("YQ=="), "a");
  EXPECT_EQ(decoded("YWI="), "ab");
  EXPECT_EQ(decoded("YWJj"), "abc");
  EXPECT_EQ(decoded(" Y W\nJ j "), "abc");
  for (const char* const body :
       {"", "YQ", "YQ=", "Y===", "====", "Y=Q=", "YQ==YWJj", "YW*j", "YWJj="}) {
    EXPECT_EQ(decoded(body), "-") << body;
  }
}

TEST(DecodeBody, NoMoreThanTheBound) {
  SecretBytes bytes;
  EXPECT_TRUE(decode_body("YWJj", 3, bytes));
  EXPECT_FALSE(decode_body("YWJj", 2, bytes));
  EXPECT_FALSE(decode_body(std::string(1 << 20, 'A'), 3, bytes));
}

}  // namespace
}  // namespace fealty::sni
