#include "cli/client/listing.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include <string>

namespace fealty::cli {
namespace {

const std::vector<Column> kColumns = {
    {"id", "ID"}, {"name", "NAME"}, {"tags", "TAGS"}};

Json list() {
  return Json::parse(R"([{"id": 1, "name": "日本", "tags": ["a", "b"]},
                         {"id": 12, "name": "x\ty", "tags": []}])");
}

TEST(Listing, TablesAreAlignedByColumnsOfTheTerminal) {
  EXPECT_EQ(list_text(kColumns, list(), Form::kTable),
            "ID  NAME  TAGS\n"
            "1   日本  a,b\n"
            "12  x\\ty  -\n");
}

TEST(Listing, TabsAreForProgramsAndHaveNoHead) {
  EXPECT_EQ(list_text(kColumns, list(), Form::kTabs),
            "1\t日本\ta,b\n12\tx\\ty\t\n");
}

TEST(Listing, JsonIsWhatTheApiSaid) {
  EXPECT_EQ(Json::parse(list_text(kColumns, list(), Form::kJson)), list());
}

TEST(Listing, AnEmptyTableSaysSoAndEmptyTabsSayNothing) {
  EXPECT_EQ(list_text(kColumns, Json::array(), Form::kTable), "there are none\n");
  EXPECT_EQ(list_text(kColumns, Json::array(), Form::kTabs), "");
}

TEST(Listing, WhatIsMissingOrOfAnotherKindBreaksNothing) {
  const Json odd = Json::parse(R"([{"id": {"a": 1}}, 7, {"name": null}])");
  EXPECT_EQ(list_text(kColumns, odd, Form::kTabs), "{\"a\":1}\t\t\n\t\t\n");
}

TEST(Listing, TimesAreWordsForPeopleAndSecondsForPrograms) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  const std::vector<Column> columns = {{"unix", "TIME", true}};
  const Json one = Json::parse(R"([{"unix": 86399}])");
  EXPECT_EQ(list_text(columns, one, Form::kTable),
            "TIME\n1970-01-01 23:59:59\n");
  EXPECT_EQ(list_text(columns, one, Form::kTabs), "86399\n");
}

TEST(Listing, AnObjectHasALineForEachKey) {
  const Json object =
      Json::parse(R"({"uid": 30001, "note": "a\nb", "flag": true, "no": null})");
  EXPECT_EQ(object_text(object, Form::kTabs),
            "uid\t30001\nnote\ta\\nb\nflag\tyes\nno\t\n");
  EXPECT_EQ(object_text(object, Form::kTable),
            "uid   30001\nnote  a\\nb\nflag  yes\nno    \n");
}

TEST(Listing, LongListsHaveALineForEach) {
  const std::string key(40, 'k');
  const Json object = {{"ssh_keys", {key + "1", key + "2"}}};
  EXPECT_EQ(object_text(object, Form::kTable),
            "ssh_keys  " + key + "1\n          " + key + "2\n");
}

}  // namespace
}  // namespace fealty::cli
