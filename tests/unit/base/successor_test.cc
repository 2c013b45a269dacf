#include "base/successor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <string>

namespace fealty {
namespace {

class SuccessorTest : public testing::Test {
 protected:
  // What came of a successor that is this script.
  Status result_of(const std::string& script, std::vector<int> fds = {}) {
    Successor successor(loop_, {"/bin/sh", {"sh", "-c", script}});
    std::optional<Status> result;
    const Status begun =
        successor.start("what is known", std::move(fds), [&](Status status) {
          result = std::move(status);
          loop_.stop();
        });
    if (!begun) return begun;
    EXPECT_TRUE(successor.is_starting());
    loop_.run();
    EXPECT_FALSE(successor.is_starting());
    if (*result) ::waitpid(successor.pid(), nullptr, 0);
    return *result;
  }
  static constexpr const char* kMemory = "/proc/self/fd/${FEALTY_HANDOVER%,*}";
  static constexpr const char* kSays = "/proc/self/fd/${FEALTY_HANDOVER#*,}";

  Loop loop_;
};

TEST_F(SuccessorTest, ReadsWhatIsHandedOverAndSaysThatItServes) {
  EXPECT_TRUE(result_of("[ \"$(cat " + std::string(kMemory) +
                        ")\" = 'what is known' ] && printf R > " + kSays));
}

TEST_F(SuccessorTest, CannotChangeWhatIsHandedOver) {
  EXPECT_TRUE(result_of("printf x 2>&- >> " + std::string(kMemory) +
                        " || printf R > " + kSays));
}

TEST_F(SuccessorTest, HasTheDescriptorsAndNoOthers) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reads(ends[0]);
  const UniqueFd writes(ends[1]);
  const std::string path = "/proc/self/fd/";
  EXPECT_TRUE(result_of("[ -e " + path + std::to_string(reads.get()) + " ] && [ ! -e " +
                            path + std::to_string(writes.get()) + " ] && printf R > " + kSays,
                        {reads.get()}));
}

TEST_F(SuccessorTest, WhoEndsWithoutAWordIsReapedAndTheReasonSaid) {
  const Status result = result_of("exit 3");
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("ended before it served"), std::string::npos);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(SuccessorTest, WhoIsLateIsEnded) {
  Successor successor(loop_, {"/bin/sh", {"sh", "-c", "exec sleep 600"}}, 50);
  std::optional<Status> result;
  ASSERT_TRUE(successor.start("", {}, [&](Status status) {
    result = std::move(status);
    loop_.stop();
  }));
  loop_.run();
  ASSERT_FALSE(*result);
  EXPECT_NE(result->error().message.find("did not serve"), std::string::npos);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST_F(SuccessorTest, OneThatIsGivenUpIsEndedWithoutAWord) {
  Successor successor(loop_, {"/bin/sh", {"sh", "-c", "exec sleep 600"}});
  ASSERT_TRUE(successor.start("", {}, [](const Status&) { ADD_FAILURE(); }));
  successor.give_up();
  EXPECT_FALSE(successor.is_starting());
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  successor.give_up();
}

TEST_F(SuccessorTest, ProgramThatIsNotThereIsSaid) {
  Successor nowhere(loop_, {"/no/such/program", {"program"}});
  EXPECT_FALSE(nowhere.start("", {}, nullptr));
  EXPECT_FALSE(nowhere.is_starting());
  Successor unknown(loop_, {"", {}});
  EXPECT_FALSE(unknown.start("", {}, nullptr));
}

TEST(Inheritance, IsTakenFromTheEnvironmentOnce) {
  const int memory = ::memfd_create("test", MFD_CLOEXEC);
  ASSERT_EQ(::write(memory, "bytes", 5), 5);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reads(ends[0]);
  const std::string value = std::to_string(memory) + "," + std::to_string(ends[1]);
  ::setenv("FEALTY_HANDOVER", value.c_str(), 1);
  auto taken = Inheritance::take();
  ASSERT_TRUE(taken);
  ASSERT_TRUE(*taken);
  EXPECT_EQ((*taken)->bytes(), "bytes");
  EXPECT_EQ(::fcntl(memory, F_GETFD), -1);
  EXPECT_EQ(::getenv("FEALTY_HANDOVER"), nullptr);
  (*taken)->forget_bytes();
  EXPECT_EQ((*taken)->bytes(), "");
  (*taken)->tell();
  char said[2];
  EXPECT_EQ(::read(reads.get(), said, sizeof said), 1);
  EXPECT_EQ(::read(reads.get(), said, sizeof said), 0);
  const auto again = Inheritance::take();
  EXPECT_TRUE(again && !*again);
}

TEST(Inheritance, ForeignVariableIsRefused) {
  for (const char* const value : {"", "1", "0,1", "x,y", "-1,5"}) {
    ::setenv("FEALTY_HANDOVER", value, 1);
    EXPECT_FALSE(Inheritance::take()) << value;
  }
  ::unsetenv("FEALTY_HANDOVER");
}

}  // namespace
}  // namespace fealty
