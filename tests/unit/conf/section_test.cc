#include "conf/section.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace fealty::conf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Reads a text with `read(Section&)` and keeps what came of it.
struct Outcome {
  std::vector<std::string> problems;
  std::string dump;
};

template <typename Read>
Outcome read_with(std::string_view text, Read read) {
  Problems problems("f");
  Dump dump("f");
  Report report{problems, dump};
  const auto root = parse_yaml(text, problems);
  if (root) {
    Section section(report, &*root, {1, 1}, "", 0);
    read(section);
    section.finish();
  }
  return {problems.lines(), dump.take()};
}

TEST(Section, KeepsTheDefaultOfAnAbsentKey) {
  bool flag = true;
  const Outcome outcome = read_with("{}", [&](Section& section) {
    EXPECT_EQ(section.scalar("flag", flag, BooleanFormat{}), nullptr);
  });
  EXPECT_TRUE(flag);
  EXPECT_THAT(outcome.problems, IsEmpty());
  EXPECT_THAT(outcome.dump, HasSubstr("flag: true"));
  EXPECT_THAT(outcome.dump, HasSubstr("# default"));
}

TEST(Section, SaysWhereAValueCameFrom) {
  bool flag = true;
  const Outcome outcome = read_with("\nflag: false", [&](Section& section) {
    EXPECT_NE(section.scalar("flag", flag, BooleanFormat{}), nullptr);
  });
  EXPECT_FALSE(flag);
  EXPECT_THAT(outcome.dump, HasSubstr("flag: false"));
  EXPECT_THAT(outcome.dump, HasSubstr("# f:2"));
}

TEST(Section, FindsAllProblemsAtOnce) {
  unsigned workers = 0;
  bool flag = false;
  const Outcome outcome =
      read_with("flga: true\nworkers: no\nflag: [1]\n", [&](Section& section) {
        section.scalar("workers", workers, AutoCountFormat{4});
        section.scalar("flag", flag, BooleanFormat{});
      });
  EXPECT_THAT(
      outcome.problems,
      ElementsAre("f:1:1: unknown key 'flga'; nearest valid key: 'flag'",
                  "f:2:10: workers: 'no' is not auto or a number from 1 to 4",
                  "f:3:7: flag: one value is expected here"));
}

TEST(Section, ListsTheValidKeysWhereNoneIsNear) {
  bool flag = false;
  const Outcome outcome =
      read_with("something: 1", [&](Section& section) {
        section.scalar("flag", flag, BooleanFormat{});
        section.scalar("mark", flag, BooleanFormat{});
      });
  EXPECT_THAT(outcome.problems,
              ElementsAre("f:1:1: unknown key 'something'; valid here: flag, "
                          "mark"));
}

TEST(Section, RefusesAKeyWithoutAValue) {
  bool flag = false;
  const Outcome outcome = read_with("flag:\n", [&](Section& section) {
    section.scalar("flag", flag, BooleanFormat{});
  });
  EXPECT_THAT(outcome.problems,
              ElementsAre("f:1:1: flag: a value is missing"));
}

TEST(Section, TakesNullWhereItMeansUnset) {
  std::optional<mode_t> mode;
  const Outcome outcome = read_with("mode: null\n", [&](Section& section) {
    section.scalar("mode", mode, ModeFormat{});
  });
  EXPECT_THAT(outcome.problems, IsEmpty());
  EXPECT_EQ(mode, std::nullopt);
}

TEST(Section, AsksForARequiredKeyAtItsSection) {
  std::string text;
  const Outcome outcome = read_with("a:\n  {}\n", [&](Section& section) {
    Section inner = section.section("a");
    inner.required("name", text, TextFormat{10});
    inner.finish();
  });
  EXPECT_THAT(outcome.problems,
              ElementsAre("f:2:3: a.name: this key is needed here"));
}

TEST(Section, NamesTheWayToANestedKey) {
  bool flag = false;
  const Outcome outcome = read_with(
      "list:\n  - {flag: true}\n  - {flag: 7, oops: 1}\n  - 5\n",
      [&](Section& section) {
        section.maps("list", [&](Section& item) {
          item.scalar("flag", flag, BooleanFormat{});
        });
      });
  EXPECT_THAT(outcome.problems,
              ElementsAre("f:3:12: list[1].flag: '7' is not true or false",
                          "f:3:15: unknown key 'list[1].oops'; valid here: "
                          "flag",
                          HasSubstr("f:4:5: list[2]: a map")));
}

TEST(Section, TakesALoneScalarForAListOfOne) {
  std::vector<std::string> seen;
  const auto read = [&](Section& section) {
    section.scalars("names", "[]", [&](const Value& item) {
      seen.push_back(item.text);
      return yaml_quoted(item.text);
    });
  };
  EXPECT_THAT(read_with("names: a", read).problems, IsEmpty());
  EXPECT_THAT(read_with("names: [b, c]", read).problems, IsEmpty());
  EXPECT_THAT(read_with("names:", read).problems, IsEmpty());
  EXPECT_THAT(seen, ElementsAre("a", "b", "c"));
  EXPECT_THAT(read_with("names: {a: b}", read).problems,
              ElementsAre("f:1:8: names: a list is expected here"));
  EXPECT_THAT(read_with("names: [[a]]", read).problems,
              ElementsAre("f:1:9: names: one value is expected here"));
}

TEST(Section, TakesASectionWithoutKeysForItsDefaults) {
  const auto read = [](Section& section) {
    bool flag = true;
    Section inner = section.section("inner");
    inner.scalar("flag", flag, BooleanFormat{});
    inner.finish();
  };
  EXPECT_THAT(read_with("inner:\n", read).problems, IsEmpty());
  EXPECT_THAT(read_with("inner: 5\n", read).problems,
              ElementsAre(HasSubstr("f:1:8: inner: a map")));
}

TEST(Section, TakesOfAnUnservedPartOnlyWhatAsksForNothing) {
  const auto read = [](Section& section) { section.unserved("part"); };
  for (const char* text : {"{}", "part: null", "part: false", "part: 0",
                           "part: []", "part: {}", "part: ''", "part:"}) {
    EXPECT_THAT(read_with(text, read).problems, IsEmpty()) << text;
  }
  for (const char* text : {"part: true", "part: 1", "part: [a]",
                           "part: {a: b}", "part: /x"}) {
    EXPECT_THAT(read_with(text, read).problems,
                ElementsAre(HasSubstr("f:1:7: part: this is not available in "
                                      "this version")))
        << text;
  }
}

}  // namespace
}  // namespace fealty::conf
