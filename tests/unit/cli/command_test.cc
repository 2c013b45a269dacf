#include "cli/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

#include "support.h"

namespace fealty::cli {
namespace {

using testing::HasSubstr;

void wait_for(Command& command) {
  const SystemClock clock;
  const std::int64_t end_ms = clock.monotonic_ms() + 10'000;
  while (!command.ended() && clock.monotonic_ms() < end_ms) {
    command.reap();
    std::this_thread::yield();
  }
  ASSERT_TRUE(command.ended());
}

Command started(std::vector<std::string> argv,
                const Command::Options& options = {}) {
  auto command = Command::start(argv, options);
  EXPECT_TRUE(command) << argv[0];
  return std::move(*command);
}

int code_of(std::vector<std::string> argv) {
  Command command = started(std::move(argv));
  wait_for(command);
  return command.exit_code();
}

class CommandTest : public testing::Test {
 protected:
  // What a shell writes to a file of ours.
  std::string output_of(const std::string& script,
                        const Command::Options& options = {}) {
    const std::string path = directory_ / "out";
    Command command =
        started({"/bin/sh", "-c", script + " > " + path}, options);
    wait_for(command);
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  test::TempDir directory_;
};

TEST_F(CommandTest, EndsWithItsExitCode) {
  EXPECT_EQ(code_of({"true"}), 0);
  EXPECT_EQ(code_of({"sh", "-c", "exit 7"}), 7);
}

TEST_F(CommandTest, KilledEndsWith128AndTheSignal) {
  EXPECT_EQ(code_of({"sh", "-c", "kill -9 $$"}), 128 + SIGKILL);
  Command sleeper = started({"sleep", "60"});
  sleeper.signal(SIGTERM);
  wait_for(sleeper);
  EXPECT_EQ(sleeper.exit_code(), 128 + SIGTERM);
}

TEST_F(CommandTest, ThatCannotBeStartedSaysWhyAsShellsDo) {
  const auto absent = Command::start({"no-such-program"}, {});
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().exit_code, 127);
  EXPECT_THAT(absent.error().message, HasSubstr("no-such-program"));
  test::write_file(directory_ / "script", "#!/bin/sh\n", 0600);
  const auto plain = Command::start({directory_ / "script"}, {});
  ASSERT_FALSE(plain);
  EXPECT_EQ(plain.error().exit_code, 126);
  EXPECT_THAT(plain.error().message, HasSubstr("chmod +x"));
}

TEST_F(CommandTest, SystemdsVariablesAreNotItsOwnUnlessWished) {
  ::setenv("NOTIFY_SOCKET", "@nobody", 1);
  ::setenv("WATCHDOG_USEC", "1000000", 1);
  const std::string script = "echo \"$NOTIFY_SOCKET,$WATCHDOG_USEC\"";
  EXPECT_EQ(output_of(script), ",\n");
  EXPECT_EQ(output_of(script, {.keep_notify_socket = true}),
            "@nobody,1000000\n");
  ::unsetenv("NOTIFY_SOCKET");
  ::unsetenv("WATCHDOG_USEC");
}

TEST_F(CommandTest, SocketsThatWereHandedOverAreHandedOn) {
  ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
  EXPECT_EQ(output_of("test $LISTEN_PID = $$ && echo mine"), "mine\n");
  ::setenv("LISTEN_PID", "1", 1);
  EXPECT_EQ(output_of("echo $LISTEN_PID"), "1\n");
  ::unsetenv("LISTEN_PID");
}

TEST_F(CommandTest, HandlersOfOursAreNotItsOwn) {
  const auto before = ::signal(SIGUSR1, [](int) {});
  EXPECT_EQ(code_of({"sh", "-c", "kill -USR1 $$"}), 128 + SIGUSR1);
  ::signal(SIGUSR1, SIG_IGN);
  EXPECT_EQ(code_of({"sh", "-c", "kill -USR1 $$"}), 0);
  ::signal(SIGUSR1, before);
}

TEST_F(CommandTest, LeadsASessionOfItsOwn) {
  EXPECT_EQ(output_of("test $(ps -o sid= -p $$) = $$ && echo own"), "own\n");
}

TEST_F(CommandTest, WhoeverItLeavesBehindIsSweptAndReaped) {
  Command command = started({"sh", "-c", "sleep 60 & exit 3"});
  wait_for(command);
  EXPECT_EQ(command.exit_code(), 3);
  EXPECT_TRUE(command.sweep(SIGTERM));
  const SystemClock clock;
  const std::int64_t end_ms = clock.monotonic_ms() + 10'000;
  while (command.sweep(0) && clock.monotonic_ms() < end_ms) command.reap();
  EXPECT_FALSE(command.sweep(0));
  EXPECT_EQ(command.exit_code(), 3);
}

}  // namespace
}  // namespace fealty::cli
