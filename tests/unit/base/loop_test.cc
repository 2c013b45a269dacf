#include "base/loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <thread>

#include "base/clock.h"
#include "base/fd.h"

namespace fealty {
namespace {

struct Pipe {
  Pipe() {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    reader.reset(ends[0]);
    writer.reset(ends[1]);
  }
  void write() const { EXPECT_EQ(::write(writer.get(), "x", 1), 1); }
  void drain() const {
    char bytes[16];
    EXPECT_GT(::read(reader.get(), bytes, sizeof bytes), 0);
  }
  UniqueFd reader;
  UniqueFd writer;
};

// Counts calls and ends the loop's run.
struct Counter {
  explicit Counter(Loop& its_loop) : loop(its_loop) {}
  void on_io(int events) {
    last_events = events;
    on_call();
  }
  void on_signal(int number) {
    last_signal = number;
    on_call();
  }
  void on_call() {
    ++calls;
    loop.stop();
  }
  Loop& loop;
  int calls = 0;
  int last_events = 0;
  int last_signal = 0;
};

TEST(IoWatcher, ReportsReadiness) {
  Loop loop;
  Counter counter(loop);
  const Pipe pipe;
  IoWatcher watcher;
  watcher.bind<&Counter::on_io>(loop, &counter);
  watcher.start(pipe.reader.get(), EV_READ);
  loop.run_nowait();
  EXPECT_EQ(counter.calls, 0);
  pipe.write();
  loop.run();
  EXPECT_EQ(counter.calls, 1);
  EXPECT_EQ(counter.last_events, EV_READ);
}

TEST(IoWatcher, StopsWhenDestroyed) {
  Loop loop;
  Counter counter(loop);
  const Pipe pipe;
  {
    IoWatcher watcher;
    watcher.bind<&Counter::on_io>(loop, &counter);
    watcher.start(pipe.reader.get(), EV_READ);
    pipe.write();
  }
  loop.run_nowait();
  EXPECT_EQ(counter.calls, 0);
}

TEST(IoWatcher, WantChangesWhatIsWatched) {
  Loop loop;
  Counter counter(loop);
  const Pipe pipe;
  IoWatcher watcher;
  watcher.bind<&Counter::on_io>(loop, &counter);
  watcher.start(pipe.writer.get(), EV_WRITE);
  loop.run_nowait();
  EXPECT_EQ(counter.calls, 1);
  EXPECT_EQ(counter.last_events, EV_WRITE);
  watcher.want(0);
  EXPECT_FALSE(watcher.active());
  loop.run_nowait();
  EXPECT_EQ(counter.calls, 1);
  watcher.want(EV_WRITE);
  EXPECT_TRUE(watcher.active());
  loop.run_nowait();
  EXPECT_EQ(counter.calls, 2);
}

TEST(IoWatcher, SameNumberAgainIsANewDescriptor) {
  Loop loop;
  Counter counter(loop);
  IoWatcher watcher;
  watcher.bind<&Counter::on_io>(loop, &counter);
  auto first = std::make_unique<Pipe>();
  const int number = first->reader.get();
  watcher.start(number, EV_READ);
  loop.run_nowait();
  watcher.stop();
  first.reset();
  const Pipe second;
  ASSERT_EQ(second.reader.get(), number);
  watcher.start(number, EV_READ);
  second.write();
  loop.run_nowait();
  EXPECT_EQ(counter.calls, 1);
}

TEST(TimerWatcher, FiresOnceAfterItsTime) {
  Loop loop;
  Counter counter(loop);
  TimerWatcher timer;
  timer.bind<&Counter::on_call>(loop, &counter);
  const std::int64_t before_ms = coarse_monotonic_ms();
  timer.start(30);
  EXPECT_TRUE(timer.active());
  loop.run();
  EXPECT_EQ(counter.calls, 1);
  EXPECT_FALSE(timer.active());
  EXPECT_GE(coarse_monotonic_ms() - before_ms, 20);
}

TEST(TimerWatcher, RepeatsUntilStopped) {
  Loop loop;
  Counter counter(loop);
  TimerWatcher timer;
  timer.bind<&Counter::on_call>(loop, &counter);
  timer.start(1, 1);
  while (counter.calls < 3) loop.run();
  timer.stop();
  EXPECT_FALSE(timer.active());
  loop.run_nowait();
  EXPECT_EQ(counter.calls, 3);
}

class SignalWatcherTest : public testing::TestWithParam<Loop::Signals> {};

INSTANTIATE_TEST_SUITE_P(Both, SignalWatcherTest,
                         testing::Values(Loop::Signals::kHandler,
                                         Loop::Signals::kDescriptor));

TEST_P(SignalWatcherTest, DeliversTheSignal) {
  Loop loop(GetParam());
  Counter counter(loop);
  SignalWatcher watcher;
  watcher.start<&Counter::on_signal>(loop, &counter, SIGUSR2);
  ::raise(SIGUSR2);
  loop.run();
  EXPECT_EQ(counter.last_signal, SIGUSR2);
}

TEST(AsyncWatcher, WakesTheLoopFromAnotherThread) {
  Loop loop;
  Counter counter(loop);
  AsyncWatcher watcher;
  watcher.start<&Counter::on_call>(loop, &counter);
  std::thread sender([&] { watcher.send(); });
  loop.run();
  sender.join();
  EXPECT_GE(counter.calls, 1);
}

TEST(Loop, RunEndsWhenNothingIsWatched) {
  Loop loop;
  loop.run();
  SUCCEED();
}

}  // namespace
}  // namespace fealty
