#include "legion/cipher.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/legion/support.h"

namespace fealty::legion {
namespace {

TEST(UwsgiCipher, EveryKindOfBlockAndTheLegacyOnesWork) {
  for (const char* const name :
       {"aes-128-cbc", "aes-256-cbc", "bf-cbc", "des-ede3-cbc", "cast5-cbc",
        "aes-128-ctr", "aes-128-ecb", "camellia-128-cbc"}) {
    const auto cipher = UwsgiCipher::make(name, "secret", "");
    ASSERT_TRUE(cipher) << cipher.error().message;
    for (const std::size_t bytes : {0U, 1U, 7U, 8U, 15U, 16U, 17U, 4000U}) {
      const std::string clear(bytes, 'x');
      EXPECT_EQ(cipher->open(cipher->seal(clear)), clear) << name << bytes;
    }
  }
}

TEST(UwsgiCipher, WhatTheFormatCannotCarryIsRefusedByName) {
  for (const char* const name :
       {"aes-128-gcm", "aes-128-xts", "id-aes128-wrap", "rot13", ""}) {
    const auto cipher = UwsgiCipher::make(name, "secret", "");
    ASSERT_FALSE(cipher) << name;
    EXPECT_NE(cipher.error().message.find(name), std::string::npos);
  }
}

TEST(UwsgiCipher, AnotherKeyOrIvDoesNotOpen) {
  const auto cipher = UwsgiCipher::make("aes-128-cbc", "secret", "");
  const std::string clear(100, 'c');
  const std::string datagram = cipher->seal(clear);
  EXPECT_NE(UwsgiCipher::make("aes-128-cbc", "other", "")->open(datagram), clear);
  EXPECT_NE(UwsgiCipher::make("aes-128-cbc", "secret", "1")->open(datagram),
            clear);
  // Padding: with '0', and what is too long is cut.
  EXPECT_EQ(UwsgiCipher::make("aes-128-cbc", "secret", "00")->open(datagram),
            clear);
  EXPECT_EQ(UwsgiCipher::make("aes-128-cbc", std::string("secret\0\0", 8),
                              std::string(40, '0'))
                ->open(datagram),
            clear);
}

TEST(UwsgiCipher, CutBentAndStrangeDatagramsDoNotOpen) {
  const auto cipher = UwsgiCipher::make("aes-128-cbc", "secret", "");
  const std::string datagram = test::vector_file("legion.0.bin");
  ASSERT_TRUE(cipher->open(datagram));
  for (std::size_t bytes = 0; bytes < datagram.size(); ++bytes) {
    EXPECT_FALSE(cipher->open(datagram.substr(0, bytes))) << bytes;
  }
  EXPECT_FALSE(cipher->open(datagram + datagram));
  for (const std::size_t at : {0U, 1U, 2U, 3U}) {
    std::string bent = datagram;
    bent[at] = static_cast<char>(bent[at] + 1);
    EXPECT_FALSE(cipher->open(bent)) << at;
  }
}

}  // namespace
}  // namespace fealty::legion
