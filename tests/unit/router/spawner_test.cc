#include "router/spawner.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "tests/unit/router/routes.h"
#include "tests/unit/router/sockets.h"
#include "wire/uwsgi_packet.h"

namespace fealty::router {
namespace {

class SteppedClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t monotonic_ms() const override { return now_ms; }
  [[nodiscard]] std::int64_t unix_s() const override { return 0; }
  std::int64_t now_ms = 1'000'000;
};

class SpawnerTest : public testing::Test {
 protected:
  SpawnerTest() { emperor_ = test::address_of(temp_ / "emperor"); }
  // The Emperor's end.
  void listen() {
    socket_.reset(
        ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(socket_.get(), emperor_->data(), emperor_->length()), 0);
  }
  // The next packet that it got; nothing where there is none.
  std::optional<test::Variables> received() {
    char bytes[2048];
    const ssize_t got = ::recv(socket_.get(), bytes, sizeof bytes, 0);
    if (got < 0) return std::nullopt;
    const std::string_view packet(bytes, static_cast<std::size_t>(got));
    const auto header = wire::decode_uwsgi_header(packet);
    EXPECT_TRUE(header);
    EXPECT_EQ(header->modifier1, Spawner::kModifierEmperor);
    EXPECT_EQ(header->modifier2, 0);
    EXPECT_EQ(packet.size(), wire::kUwsgiHeaderBytes + header->data_bytes);
    return test::decode_variables(packet.substr(wire::kUwsgiHeaderBytes));
  }
  static subscription::PoolRef pool_with(
      const std::vector<test::RouteNode>& sleeping,
      std::string_view key = "example.com") {
    return test::make_pool(key, {}, subscription::Algorithm::kWrr, sleeping);
  }

  test::TempDir temp_;
  SteppedClock clock_;
  std::optional<Address> emperor_;
  UniqueFd socket_;
  Spawner spawner_{clock_, emperor_};
};

TEST_F(SpawnerTest, PacketNamesVassalAndKey) {
  listen();
  spawner_.ask(*pool_with({test::make_sleeper("app.ini")}));
  EXPECT_EQ(received(), (test::Variables{{"cmd", "spawn"},
                                         {"vassal", "app.ini"},
                                         {"key", "example.com"}}));
  EXPECT_EQ(spawner_.counters().sent, 1U);
}

TEST_F(SpawnerTest, PacketNamesTheSocketThatWasAnnounced) {
  listen();
  const auto address = test::address_of("/run/app.sock");
  spawner_.ask(*pool_with({{subscription::NodeRecord::make(
      "/run/app.sock", address, "app.ini")}}));
  const auto packet = received();
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->count("socket"), 1U);
  EXPECT_EQ(packet->find("socket")->second, "/run/app.sock");
}

TEST_F(SpawnerTest, VassalIsAskedForOnceASecond) {
  listen();
  const auto pool = pool_with({test::make_sleeper("app.ini")});
  const auto other = pool_with({test::make_sleeper("app.ini")}, "example.org");
  for (int i = 0; i < 10; ++i) {
    spawner_.ask(*pool);
    spawner_.ask(*other);
  }
  EXPECT_TRUE(received());
  EXPECT_FALSE(received());
  clock_.now_ms += Spawner::kAgain_ms;
  spawner_.ask(*pool);
  EXPECT_TRUE(received());
  spawner_.ask(*pool_with({test::make_sleeper("other.ini")}));
  EXPECT_TRUE(received());
}

TEST_F(SpawnerTest, LongestNamesFitThePacket) {
  listen();
  const std::string longest(255, 'x');
  const std::string path = "/" + std::string(106, 'p');
  spawner_.ask(*pool_with({{subscription::NodeRecord::make(
                              path, test::address_of(path), longest)}},
                          longest));
  const auto packet = received();
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->size(), 4U);
}

TEST_F(SpawnerTest, SocketThatIsAbsentOrFullDropsAndCounts) {
  spawner_.ask(*pool_with({test::make_sleeper("app.ini")}));
  EXPECT_EQ(spawner_.counters().dropped, 1U);
  listen();
  for (int i = 0; i < 10'000 && spawner_.counters().dropped == 1; ++i) {
    spawner_.ask(*pool_with({test::make_sleeper("v" + std::to_string(i))}));
  }
  EXPECT_EQ(spawner_.counters().dropped, 2U);
}

TEST_F(SpawnerTest, NobodyIsAskedForWithoutSleeperOrEmperor) {
  listen();
  spawner_.ask(*pool_with({}));
  EXPECT_FALSE(received());
  emperor_.reset();
  spawner_.ask(*pool_with({test::make_sleeper("app.ini")}));
  EXPECT_EQ(spawner_.counters().sent + spawner_.counters().dropped, 0U);
}

}  // namespace
}  // namespace fealty::router
