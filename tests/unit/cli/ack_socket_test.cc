#include "cli/ack_socket.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "support.h"

namespace fealty::cli {
namespace {

TEST(AcknowledgedKey, IsBetweenHeadAndAddress) {
  EXPECT_EQ(acknowledged_key("[subscription ack] a.test => new node: /run/x",
                             "/run/x"),
            "a.test");
  for (const char* const other :
       {"", "[subscription ack] ", "[subscription ack] a => new node: /run/y",
        "a.test => new node: /run/x", "[subscription ack] /run/x",
        "[subscription ack] a.test => gone: /run/x"}) {
    EXPECT_EQ(acknowledged_key(other, "/run/x"), "") << other;
  }
}

class AckSocketTest : public testing::Test {
 protected:
  void send(const std::string& to, const std::string& text) {
    const Address at = test::address(to);
    const UniqueFd fd(::socket(at.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::sendto(fd.get(), text.data(), text.size(), 0, at.data(),
                       at.length()),
              static_cast<ssize_t>(text.size()));
  }
  test::TempDir directory_;
  Loop loop_;
  std::vector<std::string> heard_;
  AckSocket socket_{loop_,
                    [this](std::string_view text) { heard_.emplace_back(text); }};
};

TEST_F(AckSocketTest, HearsOnAPortOfItsOwn) {
  ASSERT_TRUE(socket_.open_own());
  EXPECT_TRUE(socket_.listens());
  send(socket_.address(), "hello");
  EXPECT_TRUE(test::run_until(loop_, [&] { return !heard_.empty(); }));
  EXPECT_EQ(heard_[0], "hello");
}

TEST_F(AckSocketTest, OpensAGivenPathForEverybodyAndTakesItAway) {
  const std::string path = directory_ / "ack";
  {
    AckSocket socket(loop_,
                     [this](std::string_view text) { heard_.emplace_back(text); });
    const auto ours = socket.open(test::address(path));
    ASSERT_TRUE(ours);
    EXPECT_TRUE(*ours);
    struct stat status{};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0666U);
    send(path, "hello");
    EXPECT_TRUE(test::run_until(loop_, [&] { return !heard_.empty(); }));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(AckSocketTest, LeavesAnothersSocketToThem) {
  const std::string path = directory_ / "ack";
  const test::Bound theirs(SOCK_DGRAM, test::address(path));
  const auto ours = socket_.open(test::address(path));
  ASSERT_TRUE(ours);
  EXPECT_FALSE(*ours);
  EXPECT_FALSE(socket_.listens());
  EXPECT_EQ(socket_.address(), path);
}

TEST_F(AckSocketTest, ReplacesTheFileOfOneThatEnded) {
  const std::string path = directory_ / "ack";
  { const test::Bound ended(SOCK_DGRAM, test::address(path)); }
  const auto ours = socket_.open(test::address(path));
  ASSERT_TRUE(ours);
  EXPECT_TRUE(*ours);
}

TEST_F(AckSocketTest, SaysWhyItCannotBeOpened) {
  EXPECT_FALSE(socket_.open(test::address(directory_ / "no/such/folder")));
}

}  // namespace
}  // namespace fealty::cli
