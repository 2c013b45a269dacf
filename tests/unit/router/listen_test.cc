#include "router/listen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

#include "tests/unit/router/sockets.h"

namespace fealty::router {
namespace {

using testing::HasSubstr;

class ListenTest : public testing::Test {
 protected:
  // The text of what went wrong; "" where nothing did.
  static std::string error_of(const Address& address,
                              const ListenOptions& options = {}) {
    const auto made = listen_on(address, options);
    return made ? "" : made.error().message;
  }
  static mode_t mode_of(const std::string& path) {
    struct stat file {};
    EXPECT_EQ(::stat(path.c_str(), &file), 0);
    return file.st_mode & 07777;
  }
  test::TempDir temp_;
  const std::string path_ = temp_ / "socket";
  const Address unix_ = test::address_of(path_);
};

TEST_F(ListenTest, TcpPortZeroBecomesAPort) {
  const auto fd = listen_on(test::address_of("127.0.0.1:0"), {});
  ASSERT_TRUE(fd);
  const Address bound = bound_address(fd.value().get());
  EXPECT_NE(bound.port(), 0);
  EXPECT_EQ(bound.host(), "127.0.0.1");
  EXPECT_GE(test::connect_to(bound).get(), 0);
}

TEST_F(ListenTest, SocketsDoNotBlockAndDoNotDelay) {
  const auto fd = listen_on(test::address_of("127.0.0.1:0"), {});
  ASSERT_TRUE(fd);
  const int listener = fd.value().get();
  EXPECT_NE(::fcntl(listener, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(listener, F_GETFD) & FD_CLOEXEC, 0);
  const UniqueFd client = test::connect_to(bound_address(listener));
  UniqueFd accepted;
  ASSERT_TRUE(test::eventually([&] {
    accepted.reset(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK));
    return accepted.valid();
  }));
  int no_delay = 0;
  socklen_t bytes = sizeof no_delay;
  ASSERT_EQ(::getsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &no_delay,
                         &bytes),
            0);
  EXPECT_NE(no_delay, 0);
}

TEST_F(ListenTest, Ipv6IsIpv6Alone) {
  // The port may be another process's, of IPv4: then the next one is tried.
  std::string error;
  for (int attempt = 0; attempt < 20; ++attempt) {
    const auto six = listen_on(test::address_of("[::]:0"), {});
    if (!six) GTEST_SKIP() << "no IPv6 here: " << six.error().message;
    const std::uint16_t port = bound_address(six.value().get()).port();
    error = error_of(test::address_of("0.0.0.0:" + std::to_string(port)));
    if (error.empty()) break;
  }
  EXPECT_EQ(error, "");
}

TEST_F(ListenTest, WorkersShareAnAddressWhereTheyAskTo) {
  const auto first = listen_on(test::address_of("127.0.0.1:0"), {true, {}});
  ASSERT_TRUE(first);
  const Address address = bound_address(first.value().get());
  EXPECT_EQ(error_of(address, {true, {}}), "");
  EXPECT_THAT(error_of(address), HasSubstr(address.to_string()));
}

TEST_F(ListenTest, AddressOfAnotherProcessIsNotFreeThoughItCouldBeShared) {
  const auto other = listen_on(test::address_of("127.0.0.1:0"), {true, {}});
  ASSERT_TRUE(other);
  const Address address = bound_address(other.value().get());
  const Status status = check_address_free(address);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr(address.to_string()));
  EXPECT_THAT(status.error().message, HasSubstr("in use"));
}

TEST_F(ListenTest, WildcardIsNotFreeWhereOneAddressIsTaken) {
  const auto other = listen_on(test::address_of("127.0.0.1:0"), {true, {}});
  ASSERT_TRUE(other);
  const std::uint16_t port = bound_address(other.value().get()).port();
  EXPECT_FALSE(check_address_free(
      test::address_of("0.0.0.0:" + std::to_string(port))));
}

TEST_F(ListenTest, FreeAddressIsFree) {
  Address address;
  {
    const auto gone = listen_on(test::address_of("127.0.0.1:0"), {});
    ASSERT_TRUE(gone);
    address = bound_address(gone.value().get());
  }
  EXPECT_TRUE(check_address_free(address));
  EXPECT_TRUE(check_address_free(test::address_of("127.0.0.1:0")));
  EXPECT_TRUE(check_address_free(unix_));
}

TEST_F(ListenTest, AddressWithConnectionsThatAreEndingIsFree) {
  UniqueFd client;
  Address address;
  {
    const auto gone = listen_on(test::address_of("127.0.0.1:0"), {});
    ASSERT_TRUE(gone);
    address = bound_address(gone.value().get());
    client = test::connect_to(address);
    UniqueFd accepted;
    ASSERT_TRUE(test::eventually([&] {
      accepted.reset(::accept4(gone.value().get(), nullptr, nullptr, 0));
      return accepted.valid();
    }));
  }  // the server's end goes first: it waits in the kernel
  EXPECT_TRUE(check_address_free(address));
  EXPECT_EQ(error_of(address), "");
}

TEST_F(ListenTest, UnixSocketHasTheModeAskedFor) {
  const auto fd = listen_on(unix_, {false, 0666});
  ASSERT_TRUE(fd);
  EXPECT_EQ(mode_of(path_), 0666U);
  EXPECT_EQ(bound_address(fd.value().get()).unix_path(), path_);
}

TEST_F(ListenTest, StaleSocketIsReplaced) {
  { ASSERT_TRUE(listen_on(unix_, {})); }
  ASSERT_TRUE(std::filesystem::is_socket(path_));
  const auto again = listen_on(unix_, {});
  ASSERT_TRUE(again);
  EXPECT_GE(test::connect_to(unix_).get(), 0);
}

TEST_F(ListenTest, LiveSocketIsRefusedAndStaysAlive) {
  const auto live = listen_on(unix_, {});
  ASSERT_TRUE(live);
  EXPECT_THAT(error_of(unix_), HasSubstr(path_));
  EXPECT_GE(test::connect_to(unix_).get(), 0);
}

TEST_F(ListenTest, RegularFileIsRefusedAndStays) {
  std::ofstream(path_) << "precious";
  EXPECT_THAT(error_of(unix_), HasSubstr("no socket"));
  EXPECT_EQ(std::filesystem::file_size(path_), 8U);
}

TEST_F(ListenTest, SymbolicLinkIsRefusedAndStays) {
  std::filesystem::create_symlink(temp_ / "elsewhere", path_);
  EXPECT_NE(error_of(unix_), "");
  EXPECT_TRUE(std::filesystem::is_symlink(path_));
}

TEST_F(ListenTest, AbstractSocketLeavesNoFile) {
  const Address abstract = test::address_of("@fealty-test-" + temp_.path());
  const auto fd = listen_on(abstract, {});
  ASSERT_TRUE(fd);
  EXPECT_NE(error_of(abstract), "");
  EXPECT_GE(test::connect_to(abstract).get(), 0);
}

TEST_F(ListenTest, DirectoryThatIsNotThereIsSaid) {
  EXPECT_THAT(error_of(test::address_of(temp_ / "no/socket")),
              HasSubstr("no/socket"));
}

TEST_F(ListenTest, ListenerFromOutsideIsTakenOver) {
  UniqueFd given = test::listen_at(unix_);
  const auto own = adopt_listener(given.get());
  ASSERT_TRUE(own);
  EXPECT_NE(own.value().get(), given.get());
  EXPECT_NE(::fcntl(own.value().get(), F_GETFL) & O_NONBLOCK, 0);
  given.reset();
  EXPECT_GE(test::connect_to(unix_).get(), 0);
}

TEST_F(ListenTest, WhatDoesNotListenIsNotTakenOver) {
  const auto pair = test::unix_pair();
  EXPECT_FALSE(adopt_listener(pair.first.get()));
  EXPECT_FALSE(adopt_listener(-1));
  EXPECT_FALSE(adopt_listener(999));
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_FALSE(adopt_listener(file.get()));
}

}  // namespace
}  // namespace fealty::router
