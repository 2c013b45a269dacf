#include "legion/address_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <string>
#include <thread>

#include "tests/unit/legion/fake_interfaces.h"

namespace fealty::legion {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class AddressKeeperTest : public testing::Test {
 protected:
  std::int64_t now() const { return clock_.now_ms; }
  static void wait(const std::function<bool()>& condition) {
    for (int i = 0; i < 2'000 && !condition(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ASSERT_TRUE(condition());
  }
  std::ptrdiff_t count(const std::string& what) {
    const auto asked = interfaces_.asked();
    return std::count(asked.begin(), asked.end(), what);
  }
  // Some rounds of the keeper's thread.
  static void let_it_work() {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  // As Lord with a lease of so much.
  void take(std::int64_t lease_ms) {
    keeper_.set_lease(now() + lease_ms, 0);
    keeper_.want({address_});
    wait([&] { return !keeper_.held().empty(); });
  }

  const FloatingAddress address_ =
      *FloatingAddress::parse("10.1.1.1/24 dev eth0");
  test::FakeClock clock_;
  test::FakeInterfaces interfaces_;
  AddressKeeper keeper_{clock_, interfaces_, 3'000};
};

TEST_F(AddressKeeperTest, WantedAddressIsTakenByItselfAndGivenBack) {
  take(3'000);
  EXPECT_THAT(interfaces_.asked(), ElementsAre("add 2", "tell"));
  EXPECT_TRUE(keeper_.hold(address_));
  EXPECT_EQ(interfaces_.asked().size(), 2U);
  keeper_.want({});
  wait([&] { return !interfaces_.has(address_); });
  EXPECT_THAT(keeper_.hold(address_).error().message,
              HasSubstr("not to be held any more"));
}

TEST_F(AddressKeeperTest, AnotherWantedAddressTakesThePlace) {
  take(3'000);
  const auto other = *FloatingAddress::parse("10.1.1.2/24 dev eth0");
  keeper_.want({other});
  wait([&] { return interfaces_.has(other) && !interfaces_.has(address_); });
}

TEST_F(AddressKeeperTest, RefusedAddressIsTriedAgainAndTheNeighboursAreTold) {
  interfaces_.refuses = true;
  keeper_.set_lease(now() + 3'000, 0);
  keeper_.want({address_});
  EXPECT_EQ(keeper_.hold(address_).error().message, "refused");
  EXPECT_THAT(keeper_.held(), IsEmpty());
  interfaces_.refuses = false;
  clock_.now_ms += 300;
  keeper_.set_lease(now() + 3'000, 0);
  wait([&] { return keeper_.held().size() == 1; });
  EXPECT_EQ(interfaces_.asked().back(), "tell");
}

TEST_F(AddressKeeperTest, WithoutALeaseNothingIsTaken) {
  keeper_.want({address_});
  EXPECT_THAT(keeper_.hold(address_).error().message, HasSubstr("no time is left"));
  let_it_work();
  EXPECT_THAT(interfaces_.asked(), IsEmpty());
}

TEST_F(AddressKeeperTest, LifetimesEndBeforeTheLease) {
  take(1'300);
  EXPECT_THAT(interfaces_.asked(), ElementsAre("add 1", "tell"));
}

TEST_F(AddressKeeperTest, LeaseThatGrowsIsUsedAtOnce) {
  take(1'300);
  clock_.now_ms += 240;                    // no beat: the lease says when
  keeper_.set_lease(now() + 2'900, 0);
  wait([&] { return count("add 2") == 1; });
}

TEST_F(AddressKeeperTest, LeaseThatShrinksShortensTheLifetime) {
  take(2'900);
  keeper_.set_lease(now() + 1'900, 0);
  wait([&] { return count("add 1") == 1; });
  keeper_.set_lease(now() + 900, 0);          // no second ends before it
  wait([&] { return !interfaces_.has(address_); });
  EXPECT_THAT(keeper_.held(), IsEmpty());
}

TEST_F(AddressKeeperTest, AddressGoesWithTheLeaseWhateverTheKernelDoes) {
  take(2'900);
  clock_.now_ms += 2'900;
  wait([&] { return !interfaces_.has(address_); });
  EXPECT_THAT(keeper_.held(), IsEmpty());
  keeper_.set_lease(now() + 2'900, 0);
  wait([&] { return keeper_.held().size() == 1; });
  EXPECT_EQ(count("tell"), 2);
}

TEST_F(AddressKeeperTest, AddressThatHadGoneIsToldAnew) {
  take(2'900);
  interfaces_.lose(address_);
  clock_.now_ms += 50;
  keeper_.set_lease(now() + 2'900, 0);
  let_it_work();
  EXPECT_EQ(count("tell"), 1);
  clock_.now_ms += 250;
  keeper_.set_lease(now() + 2'900, 0);
  wait([&] { return interfaces_.has(address_); });
  wait([&] { return count("tell") >= 2; });
}

TEST_F(AddressKeeperTest, PermanentAddressIsSomebodyElses) {
  interfaces_.set(address_, Interfaces::kForever);
  keeper_.set_lease(now() + 3'000, 0);
  keeper_.want({address_});
  EXPECT_THAT(keeper_.hold(address_).error().message, HasSubstr("for ever"));
  EXPECT_THAT(keeper_.remove(address_).error().message, HasSubstr("stays"));
  keeper_.remove_all();
  EXPECT_TRUE(interfaces_.has(address_));
}

TEST_F(AddressKeeperTest, AddressIsRemovedWhoeverAddedIt) {
  interfaces_.set(address_, 3);
  EXPECT_TRUE(keeper_.remove(address_));
  EXPECT_FALSE(interfaces_.has(address_));
}

TEST_F(AddressKeeperTest, WhatAFormerProcessLeftGoesByItselfOrIsRemoved) {
  interfaces_.set(address_, 3);
  EXPECT_TRUE(keeper_.remove_stale(address_));
  EXPECT_TRUE(interfaces_.has(address_));
  interfaces_.set(address_, 4);            // that of a longer tolerance
  EXPECT_TRUE(keeper_.remove_stale(address_));
  EXPECT_FALSE(interfaces_.has(address_));
  interfaces_.set(address_, Interfaces::kForever);
  EXPECT_THAT(keeper_.remove_stale(address_).error().message, HasSubstr("stays"));
}

// With a lifetime that is longer than the lease.
class OutlivingAddressTest : public AddressKeeperTest {
 protected:
  static constexpr std::int64_t kOutlive_ms = 2'000;
  void take(std::int64_t lease_ms) {
    keeper_.set_lease(now() + lease_ms, kOutlive_ms);
    keeper_.want({address_});
    wait([&] { return !keeper_.held().empty(); });
  }
};

TEST_F(OutlivingAddressTest, KernelKeepsItAsMuchLongerForAProcessThatIsGone) {
  take(3'000);
  EXPECT_THAT(interfaces_.asked(), ElementsAre("add 4", "tell"));
}

TEST_F(OutlivingAddressTest, LivingProcessGivesItBackBeforeTheLeaseEnds) {
  take(3'000);
  clock_.now_ms += 2'590;
  let_it_work();
  EXPECT_TRUE(interfaces_.has(address_));
  clock_.now_ms += 60;
  wait([&] { return !interfaces_.has(address_); });
  EXPECT_THAT(keeper_.held(), IsEmpty());
  let_it_work();
  EXPECT_THAT(keeper_.hold(address_).error().message, HasSubstr("no time is left"));
  EXPECT_EQ(count("add 4"), 1);
}

TEST_F(OutlivingAddressTest, LeaseThatShrinksShortensTheLifetime) {
  take(3'000);
  keeper_.set_lease(now() + 2'000, kOutlive_ms);
  wait([&] { return count("add 3") == 1; });
  keeper_.set_lease(now() + 200, kOutlive_ms);
  wait([&] { return !interfaces_.has(address_); });
}

TEST_F(OutlivingAddressTest, WhatAFormerProcessLeftGoesByItselfOrIsRemoved) {
  keeper_.set_lease(0, kOutlive_ms);
  interfaces_.set(address_, 5);
  EXPECT_TRUE(keeper_.remove_stale(address_));
  EXPECT_TRUE(interfaces_.has(address_));
  interfaces_.set(address_, 6);
  EXPECT_TRUE(keeper_.remove_stale(address_));
  EXPECT_FALSE(interfaces_.has(address_));
}

TEST_F(AddressKeeperTest, RefusedRemovalIsTriedAgainAndTheAddressIsHeldUntilThen) {
  const auto other = *FloatingAddress::parse("10.1.1.2/24 dev eth0");
  keeper_.set_lease(now() + 3'000, 0);
  keeper_.want({address_, other});
  wait([&] { return keeper_.held().size() == 2; });
  interfaces_.refuses_removal = true;
  keeper_.remove_all();
  EXPECT_EQ(keeper_.held().size(), 2U);
  EXPECT_THAT(keeper_.hold(address_).error().message,
              HasSubstr("not to be held any more"));
  // The next Lord's neighbours are not told of it.
  const auto told = count("tell");
  clock_.now_ms += 1'100;
  let_it_work();
  EXPECT_EQ(count("tell"), told);
  interfaces_.refuses_removal = false;
  clock_.now_ms += 300;
  wait([&] { return keeper_.held().empty(); });
  EXPECT_FALSE(interfaces_.has(address_));
  EXPECT_FALSE(interfaces_.has(other));
}

TEST_F(AddressKeeperTest, WhatIsWantedAgainIsNotRemovedLater) {
  take(3'000);
  interfaces_.refuses_removal = true;
  keeper_.remove_all();
  keeper_.want({address_});
  interfaces_.refuses_removal = false;
  clock_.now_ms += 300;
  keeper_.set_lease(now() + 3'000, 0);
  let_it_work();
  wait([&] { return interfaces_.has(address_) && keeper_.held().size() == 1; });
}

// A dead Lord's host may answer for it as long as that.
TEST(AddressKeeper, NeighboursAreToldEachSecondForATolerance) {
  test::FakeClock clock;
  test::FakeInterfaces interfaces;
  AddressKeeper keeper(clock, interfaces, 60'000);
  const auto pass = [&](std::int64_t ms) {
    keeper.set_lease(clock.now_ms + ms + 60'000, 0);
    clock.now_ms += ms;
  };
  const auto told = [&] {
    const auto asked = interfaces.asked();
    return std::count(asked.begin(), asked.end(), "tell");
  };
  const auto wait_for = [&](std::ptrdiff_t times) {
    for (int i = 0; i < 2'000 && told() < times; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ASSERT_EQ(told(), times);
  };
  pass(0);
  keeper.want({*FloatingAddress::parse("10.1.1.1/24 dev eth0")});
  wait_for(1);
  pass(100);
  wait_for(2);
  pass(200);
  wait_for(3);
  for (int i = 0; i < 60; ++i) {
    pass(1'000);
    wait_for(4 + i);
  }
  pass(30'000);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  wait_for(63);
  pass(30'000);
  wait_for(64);
}

TEST(AddressKeeper, LoopDoesNotWaitForTheKernel) {
  test::FakeClock clock;
  test::FakeInterfaces interfaces;
  std::promise<void> asked;
  std::promise<void> answer;
  interfaces.on_add = [&] {
    asked.set_value();
    answer.get_future().wait();
  };
  AddressKeeper keeper(clock, interfaces, 3'000);
  keeper.set_lease(clock.now_ms + 3'000, 0);
  keeper.want({*FloatingAddress::parse("10.1.1.1/24 dev eth0")});
  asked.get_future().wait();
  // The kernel has not answered yet.
  EXPECT_THAT(keeper.held(), IsEmpty());
  keeper.set_lease(clock.now_ms + 2'000, 0);
  keeper.tell_again();
  keeper.want({});
  answer.set_value();
  keeper.remove_all();
  EXPECT_THAT(keeper.held(), IsEmpty());
}

}  // namespace
}  // namespace fealty::legion
