#include "legion/hook_runner.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <string>
#include <vector>

#include "legion/clock.h"
#include "tests/unit/legion/fake_interfaces.h"

namespace fealty::legion {
namespace {

using HookKind = HookAction::Kind;

class HookRunnerTest : public testing::Test {
 protected:
  HookRunnerTest() {
    char name[] = "/tmp/fealty-hooks-XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~HookRunnerTest() override { std::filesystem::remove_all(folder_); }

  static HookJob job(Event event, std::vector<std::string> commands,
                     std::int64_t timeout_ms = 10'000) {
    HookJob job;
    job.event = event;
    job.timeout_ms = timeout_ms;
    for (std::string& each : commands) {
      job.actions.push_back({HookKind::kExec, std::move(each), {}});
    }
    return job;
  }
  void wait(std::size_t count) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(done_.wait_for(lock, std::chrono::seconds(20),
                               [&] { return results_.size() >= count; }));
  }
  std::string file(const std::string& name) const {
    std::ifstream in(folder_ + "/" + name);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string append(const std::string& text, const std::string& more = "") {
    return more + "echo " + text + " >> " + folder_ + "/out";
  }

  std::string folder_;
  std::mutex mutex_;
  std::condition_variable done_;
  std::vector<HookResult> results_;
  BootClock clock_;
  test::FakeInterfaces interfaces_;
  AddressKeeper addresses_{clock_, interfaces_, 3'000};
  HookRunner runner_{"l", addresses_, [this](const HookResult& result) {
                       const std::lock_guard lock(mutex_);
                       results_.push_back(result);
                       done_.notify_all();
                     }};
};

TEST_F(HookRunnerTest, JobsRunInOrderAndNeverTwoAtATime) {
  for (int i = 0; i < 5; ++i) {
    runner_.post(job(Event::kNodeJoined,
                     {append("begin", "sleep 0.02; "), append("end")}));
  }
  wait(5);
  std::string wanted;
  for (int i = 0; i < 5; ++i) wanted += "begin\nend\n";
  EXPECT_EQ(file("out"), wanted);
}

TEST_F(HookRunnerTest, CommandGetsTheEnvironment) {
  HookJob with = job(Event::kLord, {append("$LEGION-$PATH")});
  with.environment = {"LEGION=cluster", "PATH=/bin:/usr/bin"};
  runner_.post(with);
  wait(1);
  EXPECT_EQ(file("out"), "cluster-/bin:/usr/bin\n");
}

TEST_F(HookRunnerTest, FailedCommandsAreSaidAndTheOthersStillRun) {
  runner_.post(job(Event::kLord, {"exit 3", append("next")}));
  wait(1);
  EXPECT_FALSE(results_[0].ok);
  EXPECT_FALSE(results_[0].cancelled);
  EXPECT_EQ(file("out"), "next\n");
}

TEST_F(HookRunnerTest, CommandBeyondItsTimeIsEndedWithItsWholeGroup) {
  runner_.post(job(Event::kLord,
                   {"trap '' TERM; (sleep 1; " + append("late") + ") & wait"},
                   100));
  wait(1);
  EXPECT_FALSE(results_[0].ok);
  // Its child had its time, had it lived.
  runner_.post(job(Event::kJoin, {"sleep 1.2"}));
  wait(2);
  EXPECT_EQ(file("out"), "");
}

TEST_F(HookRunnerTest, ChildrenThatOutliveTheShellAreEndedToo) {
  runner_.post(job(Event::kJoin,
                   {"(trap '' TERM; sleep 1; " + append("late") + ") & sleep 30"},
                   100));
  wait(1);
  runner_.post(job(Event::kJoin, {"sleep 1.2"}));
  wait(2);
  EXPECT_EQ(file("out"), "");
}

// UndefinedBehaviorSanitizer needs descriptors itself, to look at an object.
#ifndef __SANITIZE_ADDRESS__
TEST_F(HookRunnerTest, CommandThatCannotBeWatchedIsEnded) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int lowest = ::dup(0);
  ::close(lowest);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(lowest);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  runner_.post(job(Event::kJoin, {"sleep 600"}, 600'000));
  wait(1);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_FALSE(results_[0].ok);
}
#endif

TEST_F(HookRunnerTest, NodeEventsEndWithTheMember) {
  runner_.post(job(Event::kNodeLeft, {append("left"), "sleep 30"}));
  while (file("out").empty()) {
  }
  runner_.post(job(Event::kNodeLeft, {append("later")}));
  runner_.post(job(Event::kDeath, {append("death")}));
  wait(2);
  EXPECT_EQ(file("out"), "left\ndeath\n");
}

TEST_F(HookRunnerTest, AddressesGoBeforeOrAfterUnlordsCommands) {
  const auto address = *FloatingAddress::parse("10.1.1.1/24 dev eth0");
  interfaces_.on_remove = [this] {
    std::ofstream(folder_ + "/out", std::ios::app) << "gone\n";
  };
  for (const bool first : {true, false}) {
    addresses_.set_lease(clock_.monotonic_ms() + 60'000, 0);
    addresses_.want({address});
    ASSERT_TRUE(addresses_.hold(address));
    HookJob with = job(Event::kUnlord, {append("unlord")});
    with.addresses_first = first;
    runner_.post(with);
    wait(first ? 1 : 2);
    EXPECT_TRUE(addresses_.held().empty());
  }
  EXPECT_EQ(file("out"), "gone\nunlord\nunlord\ngone\n");
}

TEST_F(HookRunnerTest, UnlordEndsWhatRunsAndGoesBeforeWhatWaits) {
  runner_.post(job(Event::kNodeJoined,
                   {append("first"), "sleep 30", append("never")}));
  runner_.post(job(Event::kLord, {append("lord")}));
  runner_.post(job(Event::kNodeLeft, {append("left")}));
  while (file("out").empty()) {
  }
  runner_.post(job(Event::kUnlord, {append("unlord")}));
  wait(3);
  EXPECT_EQ(file("out"), "first\nunlord\nleft\n");
  EXPECT_TRUE(results_[0].cancelled);
  EXPECT_EQ(results_[1].event, Event::kUnlord);
  EXPECT_FALSE(results_[1].cancelled);
}

TEST_F(HookRunnerTest, AlarmRunsItsCommand) {
  HookJob with;
  with.event = Event::kNodeLeft;
  with.alarm_command = append("$ALARM");
  with.actions.push_back({HookKind::kAlarm, "somebody left", {}});
  runner_.post(with);
  wait(1);
  EXPECT_EQ(file("out"), "somebody left\n");
}

TEST_F(HookRunnerTest, WaitingJobsAreBounded) {
  runner_.post(job(Event::kNodeJoined, {"sleep 30"}));
  for (std::size_t i = 0; i < HookRunner::kWaitingMax + 10; ++i) {
    runner_.post(job(Event::kNodeLeft, {"true"}));
  }
  EXPECT_GE(runner_.dropped(), 9U);
}

TEST_F(HookRunnerTest, AddressThatTheKernelRefusesIsAFailedHook) {
  const auto address = *FloatingAddress::parse("10.1.1.1/24 dev eth0");
  HookJob with;
  with.event = Event::kLord;
  with.actions.push_back({HookKind::kIpAdd, "", address});
  interfaces_.refuses = true;
  addresses_.set_lease(clock_.monotonic_ms() + 3'000, 0);
  addresses_.want({address});
  runner_.post(with);
  wait(1);
  EXPECT_FALSE(results_[0].ok);
  EXPECT_TRUE(addresses_.held().empty());
}

}  // namespace
}  // namespace fealty::legion
