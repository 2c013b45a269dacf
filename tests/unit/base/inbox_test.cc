#include "base/inbox.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace fealty {
namespace {

using Numbers = Inbox<int, 4>;

struct Receiver {
  explicit Receiver(Loop& loop) { inbox.open<&Receiver::on_post>(loop, this); }
  void on_post() {
    std::vector<int> came;
    inbox.take(came);
    all.insert(all.end(), came.begin(), came.end());
  }
  Numbers inbox;
  std::vector<int> all;
};

TEST(Inbox, EverythingArrivesInOrder) {
  Loop loop;
  Receiver receiver(loop);
  for (const int number : {1, 2, 3}) EXPECT_TRUE(receiver.inbox.post(number));
  loop.run_once();
  EXPECT_EQ(receiver.all, (std::vector<int>{1, 2, 3}));
}

TEST(Inbox, FullOneRefusesUntilItIsEmptied) {
  Loop loop;
  Receiver receiver(loop);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(receiver.inbox.post(i));
  EXPECT_FALSE(receiver.inbox.post(4));
  loop.run_once();
  EXPECT_TRUE(receiver.inbox.post(5));
  loop.run_once();
  EXPECT_EQ(receiver.all, (std::vector<int>{0, 1, 2, 3, 5}));
}

TEST(Inbox, ManyThreadsMayPost) {
  constexpr int kThreads = 3;
  constexpr int kEach = 2'000;
  Loop loop;
  Receiver receiver(loop);
  std::vector<std::thread> posters;
  for (int thread = 0; thread < kThreads; ++thread) {
    posters.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        while (!receiver.inbox.post(i)) std::this_thread::yield();
      }
    });
  }
  while (receiver.all.size() < std::size_t{kThreads} * kEach) loop.run_once();
  for (auto& poster : posters) poster.join();
  EXPECT_EQ(receiver.all.size(), std::size_t{kThreads} * kEach);
}

}  // namespace
}  // namespace fealty
