#include "cli/client/json.h"

#include <gtest/gtest.h>

#include <string>

namespace fealty::cli {
namespace {

std::string nested(std::size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}
std::string members(std::size_t count) {
  std::string out = "{";
  for (std::size_t i = 0; i < count; ++i) {
    out += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":0";
  }
  return out + "}";
}

TEST(ParseJson, OrderAndValuesAreKept) {
  const std::string text = R"({"b":[1,-2,"x",null,true],"a":{"c":1.5}})";
  const auto parsed = parse_json(text);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->dump(), text);
}

TEST(ParseJson, WhatIsNoJsonIsNone) {
  for (const char* const text : {"", "{", "[1,]", "x", "{} {}", "\"\xff\""}) {
    EXPECT_FALSE(parse_json(text)) << text;
  }
}

TEST(ParseJson, WhatIsTooDeepIsRefused) {
  EXPECT_TRUE(parse_json(nested(kDepthMax)));
  EXPECT_FALSE(parse_json(nested(kDepthMax + 1)));
  EXPECT_FALSE(parse_json(std::string(1'000'000, '[')));
  EXPECT_TRUE(parse_json("[" + nested(20) + "," + nested(20) + "]"));
}

TEST(ParseJson, AnObjectOfTooManyMembersIsRefused) {
  EXPECT_TRUE(parse_json(members(kMembersMax)));
  EXPECT_FALSE(parse_json(members(kMembersMax + 1)));
  EXPECT_TRUE(parse_json("[" + members(kMembersMax) + "," +
                         members(kMembersMax) + "]"));
}

}  // namespace
}  // namespace fealty::cli
