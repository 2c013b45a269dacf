#include "legion/floating_address.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace fealty::legion {
namespace {

TEST(FloatingAddress, ReadsAndWritesBothFamilies) {
  for (const char* const text :
       {"10.1.0.100/24 dev eth0", "fd00::1/64 dev br-lan.7"}) {
    const auto address = FloatingAddress::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->to_string(), text);
  }
  EXPECT_EQ(FloatingAddress::parse("::1/128 dev lo")->family, AF_INET6);
}

TEST(FloatingAddress, AnythingElseIsRefused) {
  for (const char* const text :
       {"", "10.1.0.100", "10.1.0.100/24", "10.1.0.100/24 dev ", "/24 dev eth0",
        "10.1.0.100/0 dev eth0", "10.1.0.100/33 dev eth0",
        "10.1.0/24 dev eth0", "10.1.0.100/24 dev a/b", "host/24 dev eth0",
        "fd00::1/129 dev eth0", "10.1.0.100/24 dev 0123456789abcdef",
        "10.1.0.100/24x dev eth0", "10.1.0.100 /24 dev eth0",
        "10.1.0.100/24 dev eth0 extra", "10.1.0.100/-1 dev eth0"}) {
    EXPECT_FALSE(FloatingAddress::parse(text)) << text;
  }
}

}  // namespace
}  // namespace fealty::legion
