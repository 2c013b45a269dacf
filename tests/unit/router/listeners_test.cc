#include "router/listeners.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "router/listen.h"
#include "tests/unit/router/sockets.h"

namespace fealty::router {
namespace {

ListenerOptions at(const std::string& address) {
  ListenerOptions options;
  options.address = test::address_of(address);
  options.text = address;
  return options;
}

class ListenersTest : public testing::Test {
 protected:
  Result<Listeners::Set> prepare(std::vector<ListenerOptions> wanted) {
    return listeners_.prepare(wanted, identities_, {});
  }
  void use(std::vector<ListenerOptions> wanted) {
    auto set = prepare(std::move(wanted));
    ASSERT_TRUE(set) << (set ? "" : set.error().message);
    listeners_.adopt(*std::move(set));
  }
  [[nodiscard]] std::string bound(std::size_t i) const {
    return listeners_.all().at(i).bound->address.to_string();
  }

  test::TempDir temp_;
  Loop loop_;
  SystemClock clock_;
  Identities identities_{loop_, clock_};
  Listeners listeners_{2};
};

TEST_F(ListenersTest, TcpHasASocketAWorkerAndUnixOneForAll) {
  use({at("127.0.0.1:0"), at(temp_ / "socket")});
  const auto first = listeners_.of_worker(0);
  const auto second = listeners_.of_worker(1);
  ASSERT_EQ(first.size(), 2U);
  ASSERT_EQ(second.size(), 2U);
  EXPECT_NE(first[0].socket->get(), second[0].socket->get());
  EXPECT_EQ(bound_address(first[0].socket->get()).port(),
            bound_address(second[0].socket->get()).port());
  EXPECT_EQ(first[1].socket->get(), second[1].socket->get());
  EXPECT_EQ(first[0].listener->server_port,
            std::to_string(bound_address(first[0].socket->get()).port()));
  EXPECT_EQ(first[1].listener->server_port, "");
}

TEST_F(ListenersTest, WhatStaysIsTheSameSocketUnderOtherSettings) {
  use({at("127.0.0.1:0"), at(temp_ / "socket")});
  const auto before = listeners_.of_worker(0);
  auto redirects = at("127.0.0.1:0");
  redirects.redirect_to_https = true;
  use({at(temp_ / "socket"), redirects});
  const auto after = listeners_.of_worker(0);
    EXPECT_EQ(after[1].socket, before[0].socket);
  EXPECT_TRUE(after[1].listener->redirect_to_https);
  EXPECT_FALSE(before[0].listener->redirect_to_https);
  EXPECT_EQ(after[0].socket, before[1].socket);
}

TEST_F(ListenersTest, SocketThatGoesLivesAsLongAsAWorkerHasIt) {
  use({at(temp_ / "socket")});
  auto held = listeners_.of_worker(0);
  const int fd = held[0].socket->get();
  use({});
  EXPECT_GE(::fcntl(fd, F_GETFD), 0);
  held.clear();
  EXPECT_LT(::fcntl(fd, F_GETFD), 0);
}

TEST_F(ListenersTest, WhatCannotBeBoundChangesNothing) {
  use({at("127.0.0.1:0")});
  const auto before = listeners_.of_worker(0);
  const auto set = prepare(
      {at("127.0.0.1:0"), at(temp_ / "new"), at(temp_ / "no/such/folder")});
  ASSERT_FALSE(set);
  EXPECT_NE(set.error().message.find("no/such/folder"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(temp_ / "new"));
  EXPECT_EQ(listeners_.of_worker(0)[0].socket, before[0].socket);
}

TEST_F(ListenersTest, AddressMayBecomeNarrowerWhileTheWiderIsBound) {
  use({at("0.0.0.0:0")});
  const std::string port =
      std::to_string(listeners_.all()[0].bound->address.port());
  use({at("127.0.0.1:" + port)});
  EXPECT_EQ(bound(0), "127.0.0.1:" + port);
}

TEST_F(ListenersTest, ModeOfAFileThatStaysIsSet) {
  auto socket = at(temp_ / "socket");
  socket.mode = 0600;
  use({socket});
  socket.mode = 0660;
  use({socket});
  struct stat status {};
  ASSERT_EQ(::stat((temp_ / "socket").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0660U);
}

// A predecessor had three workers, this process two: no queue is left alone.
TEST_F(ListenersTest, InheritedSocketsAreAllAcceptedFrom) {
  std::vector<UniqueFd> fds;
  std::set<int> numbers;
  Address address = test::address_of("127.0.0.1:0");
  for (int i = 0; i < 3; ++i) {
    auto fd = listen_on(address, {true, {}});
    ASSERT_TRUE(fd);
    address = bound_address(fd->get());
    numbers.insert(fd->get());
    fds.push_back(*std::move(fd));
  }
  listeners_.inherit(address, -1, false, std::move(fds));
  use({at(address.to_string())});
  std::set<int> taken;
  for (unsigned worker = 0; worker < 2; ++worker) {
    for (const auto& listener : listeners_.of_worker(worker)) {
      EXPECT_TRUE(taken.insert(listener.socket->get()).second);
    }
  }
  EXPECT_EQ(taken, numbers);
}

TEST_F(ListenersTest, InheritedFileStaysWhereASuccessorHasIt) {
  use({at(temp_ / "socket")});
  listeners_.leave_files();
  use({});
  EXPECT_TRUE(std::filesystem::exists(temp_ / "socket"));
}

}  // namespace
}  // namespace fealty::router
