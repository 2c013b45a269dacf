#include "api/passwords.h"

#include <gtest/gtest.h>

#include "tests/unit/api/support.h"

namespace fealty::api {
namespace {

TEST(Passwords, VerifiesAndRemembersForAWhile) {
  FakeClock clock;
  Passwords passwords(1, clock);
  const std::string stored = passwords.hash("deimos");
  EXPECT_EQ(stored.rfind("$argon2id$", 0), 0U);
  EXPECT_FALSE(passwords.remembers("kratos", "deimos", stored));
  EXPECT_TRUE(passwords.verify("kratos", "deimos", stored));
  EXPECT_TRUE(passwords.remembers("kratos", "deimos", stored));
  EXPECT_FALSE(passwords.remembers("krato", "sdeimos", stored));
  EXPECT_FALSE(passwords.remembers("kratos", "deimos", stored + "x"));
  clock.now_ms += Passwords::kRememberMs;
  EXPECT_FALSE(passwords.remembers("kratos", "deimos", stored));
}

TEST(Passwords, WrongOnesAndNobodysAreRefusedAndNotRemembered) {
  FakeClock clock;
  Passwords passwords(1, clock);
  const std::string stored = passwords.hash("deimos");
  EXPECT_FALSE(passwords.verify("kratos", "Deimos", stored));
  EXPECT_FALSE(passwords.remembers("kratos", "Deimos", stored));
  EXPECT_FALSE(passwords.verify("nobody", "deimos", ""));
  EXPECT_FALSE(passwords.remembers("nobody", "deimos", ""));
}

TEST(EqualsInConstantTime, IsEquality) {
  EXPECT_TRUE(equals_in_constant_time("abc", "abc"));
  EXPECT_FALSE(equals_in_constant_time("abc", "abd"));
  EXPECT_FALSE(equals_in_constant_time("abc", "ab"));
}

}  // namespace
}  // namespace fealty::api
