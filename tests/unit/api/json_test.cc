#include "api/json.h"

#include <gtest/gtest.h>

namespace fealty::api {
namespace {

TEST(ParseJson, TakesWhatIsJson) {
  EXPECT_TRUE(parse_json(R"({"name": "caffè ☕", "n": [1, 2.5, null]})"));
  EXPECT_TRUE(parse_json("1"));
}

TEST(ParseJson, RefusesWhatIsNone) {
  for (const char* text : {"", "{", "{'a': 1}", "{\"a\": 1} x", "\"\xff\"",
                           "{\"a\":1e999}", "nul"}) {
    EXPECT_FALSE(parse_json(text)) << text;
  }
}

TEST(ParseJson, DepthIsBounded) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(parse_json(nested(16)));
  EXPECT_FALSE(parse_json(nested(17)));
  EXPECT_FALSE(parse_json(nested(30'000)));
  EXPECT_FALSE(parse_json(std::string(60'000, '[')));
}

TEST(ParseJson, NulIsRefusedWhereverItStands) {
  EXPECT_FALSE(parse_json(R"({"a": ["b\u0000c"]})"));
  EXPECT_FALSE(parse_json(R"({"a\u0000": 1})"));
}

TEST(IsText, IsUtf8WithoutNul) {
  EXPECT_TRUE(is_text("caffè ☕ 𝄞"));
  for (const std::string& bytes :
       {std::string("a\0b", 3), std::string("\xc0\xaf"), std::string("\xed\xa0\x80"),
        std::string("\xf4\x90\x80\x80"), std::string("\xe2\x82"),
        std::string("\x80")}) {
    EXPECT_FALSE(is_text(bytes));
  }
}

TEST(JsonLine, EndsWithANewlineAndNeverThrows) {
  EXPECT_EQ(json_line({{"b", 1}, {"a", 2}}), "{\"b\":1,\"a\":2}\n");
  EXPECT_NE(json_line("\xff").find("\xef\xbf\xbd"), std::string::npos);
}

TEST(ListWriter, WritesWhatADumpWould) {
  ListWriter list;
  EXPECT_EQ(ListWriter().take(), "[]\n");
  for (const std::string text : {"plain ☕", "a\"b\\c\n\x01"}) {
    list.begin_object();
    list.add("text", text);
    list.add("number", std::int64_t{-5});
    list.add("list", Json::array({1, nullptr}));
    list.end_object();
  }
  const Json expected = {
      {{"text", "plain ☕"}, {"number", -5}, {"list", {1, nullptr}}},
      {{"text", "a\"b\\c\n\x01"}, {"number", -5}, {"list", {1, nullptr}}}};
  EXPECT_EQ(list.take(), json_line(expected));
}

}  // namespace
}  // namespace fealty::api
