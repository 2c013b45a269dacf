#include "api/credentials.h"

#include <gtest/gtest.h>

namespace fealty::api {
namespace {

TEST(ReadCredentials, OfBasic) {
  for (const char* text : {"Basic a3JhdG9zOmRlaW1vcw==", "basic a3JhdG9zOmRlaW1vcw",
                           "Basic  a3JhdG9zOmRlaW1vcw=="}) {
    const auto found = read_credentials(text, "", "");
    ASSERT_TRUE(found) << text;
    EXPECT_EQ(found->username, "kratos");
    EXPECT_EQ(found->password, "deimos");
  }
  EXPECT_EQ(read_credentials("Basic YTpiOmM=", "", "")->password, "b:c");
}

TEST(ReadCredentials, OfHexHeaders) {
  const auto found = read_credentials("", "6b7261746f73", "6465696D6F73");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->username, "kratos");
  EXPECT_EQ(found->password, "deimos");
}

TEST(ReadCredentials, WhatIsNoneIsNone) {
  for (const char* text : {"", "Basic", "Basic ", "Basic !!!!", "Bearer abc",
                           "Basic a3JhdG9z", "Basic /zr/"}) {
    EXPECT_FALSE(read_credentials(text, "", "")) << text;
  }
  EXPECT_FALSE(read_credentials("", "6b7", "61"));
  EXPECT_FALSE(read_credentials("", "zz", "61"));
  EXPECT_FALSE(read_credentials("", "00", "61"));
  EXPECT_FALSE(read_credentials("", std::string(4096, 'a'), "61"));
}

}  // namespace
}  // namespace fealty::api
