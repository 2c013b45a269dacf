#include "subscription/own_sockets.h"

#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <sys/socket.h>

#include <filesystem>
#include <string>

#include "base/fd.h"
#include "support.h"

namespace fealty::subscription {
namespace {

// An address of this host's that is no loopback; "" where it has none.
std::string interface_host() {
  std::string found;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return found;
  for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || at->ifa_addr->sa_family != AF_INET) continue;
    const std::string host =
        Address::from_sockaddr(at->ifa_addr, sizeof(sockaddr_in)).host();
    if (!is_loopback(host)) found = host;
  }
  ::freeifaddrs(list);
  return found;
}

class OwnSocketsTest : public testing::Test {
 protected:
  void own(const std::string& address) { own_.add(*Address::parse(address)); }
  bool holds(const std::string& address) {
    return own_.holds(*Address::parse(address));
  }
  // Bound as long as the test runs.
  void bind_at(const std::string& path) {
    const auto address = Address::parse(path);
    ASSERT_TRUE(address);
    socket_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(socket_.get(), address->data(), address->length()), 0);
  }

  test::FakeClock clock_;
  test::TempDir dir_;
  UniqueFd socket_;
  OwnSockets own_{clock_};
};

TEST_F(OwnSocketsTest, WhatIsBoundToOneAddressIsThereInEverySpelling) {
  own("127.0.0.1:8080");
  for (const char* const spelling :
       {"127.0.0.1:8080", ":8080", "0.0.0.0:8080", "[::ffff:127.0.0.1]:8080",
        "[::ffff:0.0.0.0]:8080"}) {
    EXPECT_TRUE(holds(spelling)) << spelling;
  }
  for (const char* const other :
       {"127.0.0.1:8081", "127.0.0.2:8080", "[::1]:8080", "10.0.0.1:8080"}) {
    EXPECT_FALSE(holds(other)) << other;
  }
}

TEST_F(OwnSocketsTest, WildcardIsReachedByEveryLoopbackAddress) {
  own("0.0.0.0:8080");
  for (const char* const spelling :
       {"127.0.0.1:8080", "127.0.0.2:8080", "127.255.0.9:8080", ":8080",
        "[::ffff:127.3.0.1]:8080"}) {
    EXPECT_TRUE(holds(spelling)) << spelling;
  }
  EXPECT_FALSE(holds("127.0.0.1:8081"));
  EXPECT_FALSE(holds("192.0.2.1:8080")) << "another host";
  EXPECT_FALSE(holds("[::1]:8080")) << "IPv4 alone";
  own("[::]:8080");
  EXPECT_TRUE(holds("[::1]:8080"));
  EXPECT_TRUE(holds("[::]:8080"));
}

TEST_F(OwnSocketsTest, WildcardIsReachedByTheInterfacesAddresses) {
  const std::string host = interface_host();
  if (host.empty()) GTEST_SKIP() << "no interface but the loopback";
  own(":8080");
  EXPECT_TRUE(holds(host + ":8080"));
  EXPECT_TRUE(holds("[::ffff:" + host + "]:8080"));
  EXPECT_FALSE(holds(host + ":8081"));
}

TEST_F(OwnSocketsTest, UnixSocketIsFoundBehindLinksAndOtherNames) {
  bind_at(dir_ / "adm.sock");
  own(dir_ / "adm.sock");
  std::filesystem::create_symlink(dir_ / "adm.sock", dir_ / "link.sock");
  std::filesystem::create_symlink(dir_.path(), dir_ / "sub");
  std::filesystem::create_hard_link(dir_ / "adm.sock", dir_ / "hard.sock");
  for (const char* const name :
       {"adm.sock", "link.sock", "sub/adm.sock", "hard.sock"}) {
    EXPECT_TRUE(holds(dir_ / name)) << name;
  }
  EXPECT_FALSE(holds(dir_ / "absent.sock"));
  test::write_file(dir_ / "other", "");
  EXPECT_FALSE(holds(dir_ / "other"));
}

TEST_F(OwnSocketsTest, AbstractNamesAreComparedWhole) {
  own("@admin");
  EXPECT_TRUE(holds("@admin"));
  EXPECT_FALSE(holds("@admin2"));
  EXPECT_FALSE(holds("/admin"));
}

}  // namespace
}  // namespace fealty::subscription
