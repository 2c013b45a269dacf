#include "base/pidfd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>

namespace fealty {
namespace {

TEST(Pidfd, IsReadableWhenTheChildHasEnded) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    char byte = 0;
    ::close(ends[1]);
    static_cast<void>(!::read(ends[0], &byte, 1));
    ::_exit(0);
  }
  ASSERT_GT(pid, 0);
  const UniqueFd process = open_pidfd(pid);
  ASSERT_TRUE(process.valid());
  EXPECT_EQ(::fcntl(process.get(), F_GETFD), FD_CLOEXEC);
  pollfd polled{process.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&polled, 1, 0), 0);
  ::close(ends[0]);
  ::close(ends[1]);
  EXPECT_EQ(::poll(&polled, 1, 10'000), 1);
  EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
}

}  // namespace
}  // namespace fealty
