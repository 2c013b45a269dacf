#include "legion/sealed.h"

#include <gtest/gtest.h>

#include <string>

namespace fealty::legion {
namespace {

TEST(SealedWire, OpensWhatItSealed) {
  const SealedWire wire("secret", "cluster");
  for (const std::size_t bytes : {0U, 1U, 16U, 60'000U}) {
    const std::string clear(bytes, 'x');
    const std::string datagram = wire.seal(clear);
    EXPECT_EQ(datagram.size(), bytes + SealedWire::kOverheadBytes);
    EXPECT_TRUE(SealedWire::is_sealed(datagram));
    EXPECT_EQ(wire.open(datagram), clear);
  }
}

TEST(SealedWire, NoTwoDatagramsAreAlikeAndNothingShowsInClear) {
  const SealedWire wire("secret", "cluster");
  const std::string one = wire.seal("legion cluster");
  EXPECT_NE(one, wire.seal("legion cluster"));
  EXPECT_EQ(one.find("cluster"), std::string::npos);
}

TEST(SealedWire, KeyIsOfTheSecretAndTheLegion) {
  const std::string datagram = SealedWire("secret", "cluster").seal("x");
  EXPECT_FALSE(SealedWire("secret2", "cluster").open(datagram));
  EXPECT_FALSE(SealedWire("secret", "other").open(datagram));
  EXPECT_TRUE(SealedWire("secret", "cluster").open(datagram));
}

TEST(SealedWire, EveryBentBitIsRefused) {
  const SealedWire wire("secret", "cluster");
  const std::string datagram = wire.seal("some clear text");
  for (std::size_t bit = 0; bit < datagram.size() * 8; ++bit) {
    std::string bent = datagram;
    bent[bit / 8] = static_cast<char>(bent[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(wire.open(bent)) << bit;
  }
}

TEST(SealedWire, CutAndLengthenedAreRefused) {
  const SealedWire wire("secret", "cluster");
  const std::string datagram = wire.seal("some clear text");
  for (std::size_t bytes = 0; bytes < datagram.size(); ++bytes) {
    EXPECT_FALSE(wire.open(datagram.substr(0, bytes))) << bytes;
  }
  EXPECT_FALSE(wire.open(datagram + '\0'));
}

// Made by another implementation of HKDF and AES-GCM; docs/protocol/legion.md has
// it as its worked example.
TEST(SealedWire, OpensTheDocumentedExample) {
  const char datagram[] =
      "\x6d\x05\x00\x01\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b"
      "\x76\xa6\xde\x4b\xb0\xba\x3f\x0a\x65\x63\x18\x78\x24\xb8\xf8\x27"
      "\xdd\xd0\x80\x86\xaa";
  const SealedWire wire("secret", "cluster");
  EXPECT_EQ(wire.open({datagram, sizeof datagram - 1}), "hello");
}

}  // namespace
}  // namespace fealty::legion
