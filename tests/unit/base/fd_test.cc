#include "base/fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <utility>

namespace fealty {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

int some_fd() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

TEST(UniqueFd, ClosesWhatItOwns) {
  const int fd = some_fd();
  { const UniqueFd owner(fd); }
  EXPECT_FALSE(is_open(fd));
}

TEST(UniqueFd, MoveHandsOver) {
  UniqueFd first(some_fd());
  const int fd = first.get();
  UniqueFd second(std::move(first));
  EXPECT_FALSE(first.valid());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(second.get(), fd);
  EXPECT_TRUE(is_open(fd));
}

TEST(UniqueFd, MoveAssignmentClosesTheOld) {
  UniqueFd target(some_fd());
  const int old = target.get();
  UniqueFd source(some_fd());
  const int kept = source.get();
  target = std::move(source);
  EXPECT_FALSE(is_open(old));
  EXPECT_EQ(target.get(), kept);
  EXPECT_TRUE(is_open(kept));
}

TEST(UniqueFd, ReleaseLeavesItOpen) {
  UniqueFd owner(some_fd());
  const int fd = owner.release();
  EXPECT_FALSE(owner.valid());
  EXPECT_TRUE(is_open(fd));
  ::close(fd);
}

TEST(UniqueFd, ResetClosesAtOnce) {
  UniqueFd owner(some_fd());
  const int fd = owner.get();
  owner.reset();
  EXPECT_FALSE(is_open(fd));
  EXPECT_FALSE(owner.valid());
}

}  // namespace
}  // namespace fealty
