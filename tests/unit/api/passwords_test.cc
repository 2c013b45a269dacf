#include "api/passwords.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "api/turns.h"
#include "tests/unit/api/support.h"

namespace fealty::api {
namespace {

using Verdict = Passwords::Verdict;
const auto kAlways = [] { return true; };

TEST(Passwords, VerifiesAndRemembersForAWhile) {
  FakeClock clock;
  Passwords passwords(1, clock);
  const std::string stored = *passwords.hash("deimos");
  EXPECT_EQ(stored.rfind("$argon2id$", 0), 0U);
  EXPECT_FALSE(passwords.remembers("kratos", "deimos", stored));
  EXPECT_EQ(passwords.verify("kratos", "deimos", stored, kAlways), Verdict::kRight);
  EXPECT_TRUE(passwords.remembers("kratos", "deimos", stored));
  EXPECT_FALSE(passwords.remembers("krato", "sdeimos", stored));
  EXPECT_FALSE(passwords.remembers("kratos", "deimos", stored + "x"));
  clock.now_ms += Passwords::kRememberMs;
  EXPECT_FALSE(passwords.remembers("kratos", "deimos", stored));
}

TEST(Passwords, WrongOnesAndNobodysAreRefusedAndNotRemembered) {
  FakeClock clock;
  Passwords passwords(1, clock);
  const std::string stored = *passwords.hash("deimos");
  EXPECT_EQ(passwords.verify("kratos", "Deimos", stored, kAlways), Verdict::kWrong);
  EXPECT_FALSE(passwords.remembers("kratos", "Deimos", stored));
  EXPECT_EQ(passwords.verify("nobody", "deimos", "", kAlways), Verdict::kWrong);
  EXPECT_FALSE(passwords.remembers("nobody", "deimos", ""));
  EXPECT_EQ(passwords.verify("kratos", "deimos", stored, [] { return false; }),
            Verdict::kRefused);
}

TEST(Passwords, WhoAsksTheSameAtOncePaysOnce) {
  FakeClock clock;
  Passwords passwords(1, clock);
  const std::string stored = *passwords.hash("deimos");
  std::atomic<int> paid = 0;
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] {
      const auto verdict = passwords.verify("kratos", "deimos", stored, [&] {
        ++paid;
        return true;
      });
      right += verdict == Verdict::kRight ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 16);
  EXPECT_EQ(paid, 1);
}

TEST(Turns, WhoeverComesBeyondThoseThatWaitIsTold) {
  Turns turns(1, 0);
  {
    const Turn first(turns);
    EXPECT_TRUE(first);
    EXPECT_FALSE(Turn(turns));
  }
  EXPECT_TRUE(Turn(turns));
}

TEST(EqualsInConstantTime, IsEquality) {
  EXPECT_TRUE(equals_in_constant_time("abc", "abc"));
  EXPECT_FALSE(equals_in_constant_time("abc", "abd"));
  EXPECT_FALSE(equals_in_constant_time("abc", "ab"));
}

}  // namespace
}  // namespace fealty::api
