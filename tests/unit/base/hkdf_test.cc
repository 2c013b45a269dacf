#include "base/hkdf.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>

namespace fealty {
namespace {

std::string derived(std::string_view secret, std::string_view info) {
  std::array<unsigned char, 32> key{};
  derive_key(secret, info, key);
  std::string hex;
  for (const unsigned char byte : key) {
    char text[3];
    std::snprintf(text, sizeof text, "%02x", unsigned{byte});
    hex += text;
  }
  return hex;
}

// Made by another implementation; docs/protocol/legion.md has them.
TEST(DeriveKey, GivesTheDocumentedKeys) {
  EXPECT_EQ(derived("secret", "announce aes-256-gcm 1 cluster"),
            "1e8bac516fe6bcfa9b213469a83a9089d9cf02b9dd4a3a8402a845b98fd5f257");
  std::string info = "forward aes-256-gcm 1 ";
  for (char byte = 0; byte < 16; ++byte) info += byte;
  EXPECT_EQ(derived("secret", info),
            "987680e7ba8e3a9b0eecb8ea9b4a02fbd600a067b453b919b393aa8183bcffce");
}

}  // namespace
}  // namespace fealty
