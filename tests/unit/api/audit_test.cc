#include "api/resources/audit.h"

#include <gtest/gtest.h>

namespace fealty::api {
namespace {

TEST(Audited, KeepsWhatDiffers) {
  const auto [before, after] = audited({{"a", 1}, {"b", 2}, {"c", 3}},
                                       {{"a", 1}, {"b", 4}, {"d", 5}});
  EXPECT_EQ(before, Json({{"b", 2}, {"c", 3}}));
  EXPECT_EQ(after, Json({{"b", 4}, {"d", 5}}));
}

TEST(Audited, KeepsAllOfWhatComesAndGoes) {
  const auto [before, after] = audited(nullptr, {{"a", 1}});
  EXPECT_TRUE(before.is_null());
  EXPECT_EQ(after, Json({{"a", 1}}));
}

TEST(Audited, MasksSecretsAndCutsTexts) {
  const auto [before, after] =
      audited({{"password", "old"}},
              {{"password", "new"}, {"note", std::string(5000, 'x')}});
  EXPECT_EQ(before["password"], "***");
  EXPECT_EQ(after["password"], "***");
  EXPECT_LT(after["note"].get<std::string>().size(), 1100U);
}

}  // namespace
}  // namespace fealty::api
