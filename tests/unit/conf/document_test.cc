#include "conf/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace fealty::conf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

struct Parsed {
  std::optional<Value> root;
  std::vector<std::string> problems;
};

Parsed parse(std::string_view text) {
  Problems problems("f");
  auto root = parse_yaml(text, problems);
  return {std::move(root), problems.lines()};
}

std::string repeat(std::string_view text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

TEST(Document, KeepsTextAndPlaceOfEachValue) {
  const Parsed parsed = parse("a: 0666\nb:\n  - 'x y'\n  - {c: 1.20}\nd: ~\n");
  ASSERT_THAT(parsed.problems, IsEmpty());
  const auto& entries = parsed.root->entries;
  ASSERT_THAT(entries, SizeIs(3));
  EXPECT_EQ(entries[0].key, "a");
  EXPECT_EQ(entries[0].value.text, "0666");
  EXPECT_EQ(entries[0].value.at.line, 1);
  EXPECT_EQ(entries[0].value.at.column, 4);
  const Value& list = entries[1].value;
  ASSERT_THAT(list.items, SizeIs(2));
  EXPECT_EQ(list.items[0].text, "x y");
  EXPECT_EQ(list.items[1].entries[0].value.text, "1.20");
  EXPECT_EQ(list.items[1].entries[0].at.line, 4);
  EXPECT_EQ(list.items[1].entries[0].at.column, 6);
  EXPECT_EQ(entries[2].value.kind, Value::Kind::kNull);
}

TEST(Document, NamesADuplicateKeyAndKeepsTheFirst) {
  const Parsed parsed = parse("a: 1\nb: {c: 1, c: 2}\na: 3\n");
  EXPECT_THAT(parsed.problems,
              ElementsAre("f:2:11: the key 'c' is here a second time",
                          "f:3:1: the key 'a' is here a second time"));
  ASSERT_TRUE(parsed.root.has_value());
  ASSERT_THAT(parsed.root->entries, SizeIs(2));
  EXPECT_EQ(parsed.root->entries[0].value.text, "1");
}

TEST(Document, RefusesAnchorsAliasesAndTags) {
  const Parsed parsed = parse("a: &x 1\nb: *x\nc: !!str 2\nd: !own [1]\n");
  EXPECT_THAT(
      parsed.problems,
      ElementsAre(HasSubstr("anchors"),
                  StartsWith("f:2:4: aliases are not taken here"),
                  StartsWith("f:3:4: tags"), StartsWith("f:4:4: tags")));
}

TEST(Document, AliasesCannotMultiply) {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 30; ++i) {
    const std::string own = "a" + std::to_string(i);
    const std::string last = "*a" + std::to_string(i - 1);
    bomb += own + ": &" + own + " [" + repeat(last + ",", 8) + "]\n";
  }
  EXPECT_THAT(parse(bomb).problems, SizeIs(Problems::kMost + 1));
}

TEST(Document, RefusesKeysThatAreNoPlainText) {
  const Parsed parsed = parse("{[a]: 1}");
  EXPECT_THAT(parsed.problems,
              ElementsAre("f:1:2: a key must be plain text"));
  EXPECT_THAT(parse("~: 1").problems, SizeIs(1));
  EXPECT_THAT(parse("? {a: b}\n: 1\n").problems, SizeIs(1));
}

TEST(Document, SaysWhereTheSyntaxBreaks) {
  EXPECT_THAT(parse("a: 1\nb: [1, 2\nc: 3\n").problems,
              ElementsAre(StartsWith("f:")));
  EXPECT_THAT(parse("a: 1\n\tb: 2\n").problems,
              ElementsAre(HasSubstr("no valid YAML")));
  EXPECT_THAT(parse("a: 'x").problems,
              ElementsAre(StartsWith("f:1:")));
}

TEST(Document, TakesOneDocumentOnly) {
  EXPECT_THAT(parse("---\na: 1\n...\n").problems, IsEmpty());
  EXPECT_THAT(parse("a: 1\n---\nb: 2\n").problems,
              ElementsAre("f:3:1: a second document; one is expected"));
}

TEST(Document, TakesAnEmptyFileForNull) {
  for (const char* text : {"", "\n\n", "# only a comment\n", "---\n", "~"}) {
    const Parsed parsed = parse(text);
    ASSERT_TRUE(parsed.root.has_value()) << text;
    EXPECT_EQ(parsed.root->kind, Value::Kind::kNull) << text;
    EXPECT_THAT(parsed.problems, IsEmpty());
  }
}

TEST(Document, RefusesBytesThatAreNoText) {
  const std::string nul("a: \0", 4);
  EXPECT_THAT(parse(nul).problems,
              ElementsAre("f:1:4: a control byte does not belong here"));
  EXPECT_THAT(parse("a: 1\n\x04").problems, ElementsAre(StartsWith("f:2:1:")));
  EXPECT_THAT(parse("a: \x7f").problems, SizeIs(1));
  for (const char* bytes :
       {"\xff\xfe", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80",
        "\xf4\x90\x80\x80", "\x80", "\xe2\x82", "\xf0\x9f"}) {
    EXPECT_THAT(parse("a: 1\nb: " + std::string(bytes)).problems,
                ElementsAre("f:2:4: this is not UTF-8"));
  }
}

TEST(Document, CountsColumnsInBytes) {
  const std::string nine_bytes = "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80";
  EXPECT_THAT(parse("{\"" + nine_bytes + "\": 1, a: 1, a: 2}").problems,
              ElementsAre(StartsWith("f:1:24: ")));
  EXPECT_THAT(parse("#" + nine_bytes + "\xff").problems,
              ElementsAre(StartsWith("f:1:11: ")));
}

TEST(Document, BoundsSizeDepthAndCount) {
  EXPECT_THAT(parse(std::string(kFileBytesMax + 1, '#')).problems,
              ElementsAre("f:1:1: the file is larger than 1 MiB"));
  EXPECT_TRUE(parse(std::string(kFileBytesMax, '#')).root.has_value());
  EXPECT_TRUE(parse(repeat("[", kDepthMax) + repeat("]", kDepthMax))
                  .root.has_value());
  EXPECT_THAT(parse(repeat("[", kDepthMax + 1) + repeat("]", kDepthMax + 1))
                  .problems,
              ElementsAre(HasSubstr("nested more than 16 deep")));
  EXPECT_THAT(parse("[" + repeat("1,", kValuesMax + 1) + "]").problems,
              ElementsAre(HasSubstr("more than 20000 values")));
}

TEST(Document, EndlessNestingIsNoCrash) {
  for (const char* step : {"[", "{", "- ", "? ", "[{", "{a: ", "!x ", "&a "}) {
    EXPECT_FALSE(parse(repeat(step, 50'000)).problems.empty()) << step;
  }
}

TEST(Problems, AreShownInTheFilesOrder) {
  Problems problems("f");
  problems.add({2, 1}, "third");
  problems.add({1, 9}, "second");
  problems.add({1, 2}, "first");
  EXPECT_THAT(problems.lines(),
              ElementsAre("f:1:2: first", "f:1:9: second", "f:2:1: third"));
}

TEST(Problems, AreBounded) {
  Problems problems("f");
  for (int i = 1; i <= 150; ++i) problems.add({i, 1}, "x");
  const auto lines = problems.lines();
  ASSERT_THAT(lines, SizeIs(Problems::kMost + 1));
  EXPECT_EQ(lines.back(), "f:100:1: and 50 more problems");
}

TEST(Problems, QuoteTheFileWithoutItsBytesAndLength) {
  Problems problems("f");
  problems.add({1, 1}, "a\nb\x1b\xc3");
  problems.add({2, 1}, std::string(100'000, 'a'));
  EXPECT_EQ(problems.lines()[0], "f:1:1: a\\x0ab\\x1b\\xc3");
  EXPECT_LT(problems.lines()[1].size(), 1100U);
}

TEST(Problems, StayOneLineWhateverTheFileIsCalled) {
  Problems problems("a\nb\x1b[0m");
  problems.add({1, 1}, "x");
  EXPECT_THAT(problems.lines(), ElementsAre("a?b?[0m:1:1: x"));
}

}  // namespace
}  // namespace fealty::conf
