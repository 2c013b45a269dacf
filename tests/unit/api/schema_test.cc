#include "api/schema.h"

#include <gtest/gtest.h>

namespace fealty::api {
namespace {

bool is_lower(std::string_view text) {
  return text.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == text.npos;
}

const Schema kSchema = {
    "thing",
    {{"name", Type::kLine, "a lower-case word", true, 1, 10, is_lower, "^[a-z]+$"},
     {"note", Type::kText, "free text", false, 0, 20},
     {"size", Type::kInteger, "in MB", false, 1, 100},
     {"distro", Type::kIntegerOrNull, "an id", false, 1, 100},
     {"ro", Type::kFlag, "read-only"},
     {"tags", Type::kLines, "names", false, 0, 2}}};

std::string problem(const char* text) {
  const Status status = validate(kSchema, *parse_json(text));
  return status ? "" : status.error().message;
}

TEST(Validate, TakesWhatFits) {
  EXPECT_EQ(problem(R"({"name": "abc", "note": "a\nb", "size": 100, "distro": null,
                       "ro": 1, "tags": ["x", "y"]})"), "");
  EXPECT_EQ(problem(R"({"ro": true, "unknown": [1]})"), "");
}

TEST(Validate, NamesTheKey) {
  const char* const wrong[][2] = {
      {R"([1])", "object"},           {R"({"name": ""})", "name:"},
      {R"({"name": "ABC"})", "name:"}, {R"({"name": 1})", "name:"},
      {R"({"name": "a\nb"})", "name:"}, {R"({"name": null})", "name:"},
      {R"({"size": 0})", "size:"},    {R"({"size": 101})", "size:"},
      {R"({"size": "5"})", "size:"},  {R"({"size": 1.5})", "size:"},
      {R"({"size": 18446744073709551615})", "size:"},
      {R"({"size": null})", "size:"}, {R"({"distro": "x"})", "distro:"},
      {R"({"ro": 2})", "ro:"},        {R"({"ro": "true"})", "ro:"},
      {R"({"tags": "x"})", "tags:"},  {R"({"tags": ["a", "b", "c"]})", "tags:"},
      {R"({"tags": [1]})", "tags:"},  {R"({"tags": [""]})", "tags:"},
      {R"({"note": "123456789012345678901"})", "note:"}};
  for (const auto& [text, expected] : wrong) {
    EXPECT_NE(problem(text).find(expected), std::string::npos) << text;
  }
}

TEST(MissingKey, IsTheFirstThatMustBeThere) {
  EXPECT_EQ(missing_key(kSchema, *parse_json("{}")), "name");
  EXPECT_EQ(missing_key(kSchema, *parse_json(R"({"name": "a"})")), "");
}

TEST(SchemaDocument, SaysWhatValidateLooksAt) {
  const Json document = schema_document(kSchema);
  EXPECT_EQ(document["required"], Json::array({"name"}));
  EXPECT_EQ(document["properties"]["name"]["pattern"], "^[a-z]+$");
  EXPECT_EQ(document["properties"]["distro"]["type"][1], "null");
  EXPECT_EQ(document["properties"]["tags"]["maxItems"], 2);
}

TEST(Stored, WritesFlagsAsNumbersAndListsAsJson) {
  EXPECT_EQ(std::get<std::int64_t>(stored(true)), 1);
  EXPECT_EQ(std::get<std::string>(stored(Json::array({"a"}))), "[\"a\"]");
  EXPECT_TRUE(std::holds_alternative<std::nullptr_t>(stored(nullptr)));
  EXPECT_EQ(stored_fields({{"a", 1}}, {"a", "b"}).size(), 1U);
}

}  // namespace
}  // namespace fealty::api
