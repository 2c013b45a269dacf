#include "cli/socket_path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "support.h"

namespace fealty::cli {
namespace {

class SocketPath : public testing::Test {
 protected:
  test::TempDir directory_;
  std::string path_ = directory_ / "app.sock";
  Address at_ = test::address(path_);
};

TEST_F(SocketPath, AnswersWhileSomebodyListens) {
  EXPECT_FALSE(answers_now(at_));
  const test::Bound server(SOCK_STREAM, at_);
  EXPECT_TRUE(answers_now(at_));
  const test::Bound tcp(SOCK_STREAM);
  EXPECT_TRUE(answers_now(tcp.at));
}

TEST_F(SocketPath, OnlyADeadSocketIsRemoved) {
  EXPECT_FALSE(remove_dead_socket(at_));
  {
    const test::Bound server(SOCK_STREAM, at_);
    EXPECT_FALSE(remove_dead_socket(at_));
  }
  EXPECT_TRUE(remove_dead_socket(at_));
  EXPECT_FALSE(std::filesystem::exists(path_));
  test::write_file(path_, "a file");
  EXPECT_FALSE(remove_dead_socket(at_));
  EXPECT_FALSE(remove_dead_socket(test::address("127.0.0.1:1")));
}

TEST_F(SocketPath, AModeIsSetAndAnUnfitOneNoticed) {
  const test::Bound server(SOCK_STREAM, at_);
  ASSERT_TRUE(set_mode(at_, 0755));
  EXPECT_THAT(mode_problem(at_), testing::HasSubstr("0755"));
  ASSERT_TRUE(set_mode(at_, 0666));
  EXPECT_EQ(mode_problem(at_), "");
  EXPECT_FALSE(set_mode(test::address(directory_ / "absent"), 0666));
  EXPECT_TRUE(set_mode(test::address("127.0.0.1:1"), 0666));
}

}  // namespace
}  // namespace fealty::cli
