#include "base/poller.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "base/fd.h"

namespace fealty {
namespace {

struct SocketPair {
  SocketPair() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                           0, ends),
              0);
    near.reset(ends[0]);
    far.reset(ends[1]);
  }
  void write() const { EXPECT_EQ(::write(far.get(), "x", 1), 1); }
  UniqueFd near;
  UniqueFd far;
};

struct Seen {
  void on_event(int events) {
    ++calls;
    last = events;
  }
  int calls = 0;
  int last = 0;
};

TEST(Poller, ReportsWhatWasAskedFor) {
  Loop loop;
  Poller poller(loop);
  Seen seen;
  Poller::Watcher watcher;
  watcher.bind<&Seen::on_event>(poller, &seen);
  const SocketPair pair;
  ASSERT_TRUE(watcher.start(pair.near.get(), EV_READ));
  loop.run_nowait();
  EXPECT_EQ(seen.calls, 0);
  pair.write();
  loop.run_nowait();
  EXPECT_EQ(seen.calls, 1);
  EXPECT_EQ(seen.last, EV_READ);
  watcher.want(EV_READ | EV_WRITE);
  loop.run_nowait();
  EXPECT_EQ(seen.last, EV_READ | EV_WRITE);
  watcher.want(EV_WRITE);
  loop.run_nowait();
  EXPECT_EQ(seen.last, EV_WRITE);
}

TEST(Poller, ClosedPeerWakesWhoeverWaits) {
  for (const int wanted : {EV_READ, EV_WRITE}) {
    Loop loop;
    Poller poller(loop);
    Seen seen;
    Poller::Watcher watcher;
    watcher.bind<&Seen::on_event>(poller, &seen);
    SocketPair pair;
    ASSERT_TRUE(watcher.start(pair.near.get(), wanted));
    pair.far.reset();
    loop.run_nowait();
    EXPECT_EQ(seen.calls, 1);
    EXPECT_EQ(seen.last, wanted);
  }
}

TEST(Poller, WhatIsNotWantedDoesNotEvenWakeAtItsEnd) {
  Loop loop;
  Poller poller(loop);
  Seen seen;
  Poller::Watcher watcher;
  watcher.bind<&Seen::on_event>(poller, &seen);
  SocketPair pair;
  ASSERT_TRUE(watcher.start(pair.near.get(), EV_READ));
  watcher.want(0);
  EXPECT_TRUE(watcher.active());
  pair.write();
  pair.far.reset();
  loop.run_nowait();
  EXPECT_EQ(seen.calls, 0);
  watcher.want(EV_READ);
  loop.run_nowait();
  EXPECT_EQ(seen.calls, 1);
}

TEST(Poller, NextDescriptorOfTheSameNumberStartsClean) {
  Loop loop;
  Poller poller(loop);
  Seen seen;
  Poller::Watcher watcher;
  watcher.bind<&Seen::on_event>(poller, &seen);
  auto first = std::make_unique<SocketPair>();
  ASSERT_TRUE(watcher.start(first->near.get(), EV_READ));
  first->write();
  watcher.stop();
  EXPECT_FALSE(watcher.active());
  first.reset();
  const SocketPair second;
  ASSERT_TRUE(watcher.start(second.near.get(), EV_READ));
  loop.run_nowait();
  EXPECT_EQ(seen.calls, 0);
  second.write();
  loop.run_nowait();
  EXPECT_EQ(seen.calls, 1);
}

TEST(Poller, DescriptorThatCannotBeWatchedIsSaid) {
  Loop loop;
  Poller poller(loop);
  Seen seen;
  Poller::Watcher watcher;
  watcher.bind<&Seen::on_event>(poller, &seen);
  EXPECT_FALSE(watcher.start(-1, EV_READ));
  EXPECT_FALSE(watcher.active());
}

// Two that become ready in one turn; whoever is called first ends the other.
struct Pair {
  void on_first(int) { end(second); }
  void on_second(int) { end(first); }
  void end(std::optional<Poller::Watcher>& other) {
    ++calls;
    if (stop_only) {
      other->stop();
    } else {
      other.reset();
    }
  }
  std::optional<Poller::Watcher> first;
  std::optional<Poller::Watcher> second;
  bool stop_only = false;
  int calls = 0;
};

TEST(Poller, WatcherThatAnotherEndedInTheSameTurnIsNotCalled) {
  for (const bool stop_only : {false, true}) {
    Loop loop;
    Poller poller(loop);
    Pair pair;
    pair.stop_only = stop_only;
    pair.first.emplace();
    pair.second.emplace();
    pair.first->bind<&Pair::on_first>(poller, &pair);
    pair.second->bind<&Pair::on_second>(poller, &pair);
    const SocketPair one;
    const SocketPair two;
    ASSERT_TRUE(pair.first->start(one.near.get(), EV_READ));
    ASSERT_TRUE(pair.second->start(two.near.get(), EV_READ));
    one.write();
    two.write();
    loop.run_nowait();
    EXPECT_EQ(pair.calls, 1) << stop_only;
  }
}

TEST(Poller, MoreThanOneTurnsWorthIsAllServed) {
  Loop loop;
  Poller poller(loop);
  constexpr std::size_t kCount = Poller::kPerTurn * 2 + 5;
  const std::vector<SocketPair> pairs(kCount);
  std::vector<Seen> seen(kCount);
  std::array<Poller::Watcher, kCount> watchers;
  for (std::size_t i = 0; i < kCount; ++i) {
    watchers[i].bind<&Seen::on_event>(poller, &seen[i]);
    ASSERT_TRUE(watchers[i].start(pairs[i].near.get(), EV_READ));
    pairs[i].write();
  }
  for (int turn = 0; turn < 6; ++turn) loop.run_nowait();
  for (const Seen& one : seen) EXPECT_GE(one.calls, 1);
}

}  // namespace
}  // namespace fealty
