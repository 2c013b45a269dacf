#include "cli/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>

namespace fealty::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kStats = R"({
  "version": "1.2", "pid": 7, "active_sessions": 3,
  "subscriptions": [
    {"key": "a.test", "algo": "wrr", "nodes": [
      {"name": "127.0.0.1:1", "proto": "http", "weight": 2, "backup": 0,
       "ref": 1, "requests": 10, "failcnt": 0, "last_check": 95,
       "resting": false, "sleeping": false},
      {"name": "/run/b", "resting": true}]},
    {"key": "empty.test", "algo": "lrc", "nodes": []}]})";

TEST(Table, ColumnsAreAligned) {
  EXPECT_EQ(table({{"A", "LONG"}, {"bbb", "c"}}), "A    LONG\nbbb  c\n");
}

TEST(Table, WhatWouldMoveTheCursorIsShown) {
  EXPECT_EQ(table({{"a\x1b[2J\nb"}}), "a\\x1b[2J\\x0ab\n");
}

TEST(StatsReport, ShowsEachNodeOnALine) {
  const auto report = stats_report(kStats, "", 100);
  ASSERT_TRUE(report);
  EXPECT_THAT(*report, HasSubstr("fealty-router 1.2, pid 7, 3 connections\n"));
  EXPECT_THAT(*report, HasSubstr("a.test      wrr   127.0.0.1:1  http   2"));
  EXPECT_THAT(*report, HasSubstr("5s     up\n"));
  EXPECT_THAT(*report, HasSubstr("resting\n"));
  EXPECT_THAT(*report, HasSubstr("empty.test  lrc"));
}

TEST(StatsReport, NamesTheStateThatMattersMost) {
  const auto state = [](const std::string& fields) {
    const auto report = stats_report(
        R"({"subscriptions":[{"key":"k","nodes":[{"last_check":1,)" + fields +
            "}]}]}",
        "", 3);
    EXPECT_TRUE(report);
    std::istringstream words(*report);
    std::string heard;
    std::string last;
    for (std::string word; words >> word; last = word) heard = last;
    return heard + " " + last;
  };
  EXPECT_EQ(state(R"("healthy":true)"), "2s up");
  EXPECT_EQ(state(R"("drained":true,"resting":true)"), "2s drained");
  EXPECT_EQ(state(R"("sleeping":true)"), "2s sleeping");
  EXPECT_EQ(state(R"("healthy":false,"resting":true)"), "2s ill");
  EXPECT_EQ(state(R"("resting":true)"), "2s resting");
  EXPECT_EQ(state(R"("static":true)"), "- up");
}

TEST(StatsReport, ShowsOnePoolIfAsked) {
  const auto report = stats_report(kStats, "empty.test", 100);
  ASSERT_TRUE(report);
  EXPECT_THAT(*report, Not(HasSubstr("a.test ")));
  EXPECT_THAT(*stats_report(kStats, "b.test", 100),
              HasSubstr("b.test is not announced"));
}

TEST(StatsReport, RefusesWhatIsNoneOfARouters) {
  for (const char* const none : {"", "junk", "[]", "{}", "{\"subscriptions\":1}",
                                 "{\"subscriptions\":["}) {
    EXPECT_FALSE(stats_report(none, "", 0)) << none;
  }
}

TEST(StatsReport, FieldsOfAnotherKindAreNoTrouble) {
  for (const char* const odd :
       {R"({"subscriptions":[1,null,"x",[]]})",
        R"({"subscriptions":[{"key":{},"nodes":{}}]})",
        R"({"subscriptions":[{"key":"k","nodes":[1,"x",{"name":[]}]}]})",
        R"({"subscriptions":[{"key":"k","nodes":[{"last_check":"x"}]}]})"}) {
    EXPECT_TRUE(stats_report(odd, "", 0)) << odd;
  }
}

TEST(ExplainReport, SaysWhyEachNodeIsEligible) {
  const auto report = explain_report(R"({
    "host": "a.test", "key": ".test", "rule": "wildcard", "algorithm": "wrr",
    "certificate": null, "nodes": [
      {"name": "/run/a", "proto": "http", "weight": 1, "level": 2,
       "eligible": true,
       "why": "announced"},
      {"name": "/run/b", "proto": "uwsgi", "weight": 1, "eligible": false,
       "why": "rests"}]})");
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->answered);
  EXPECT_EQ(report->text,
            "host: a.test\nkey: .test\nrule: wildcard\nalgorithm: wrr\nnodes:\n"
            "  + /run/a (http, weight 1, level 2): announced\n"
            "  - /run/b (uwsgi, weight 1): rests\n");
}

TEST(ExplainReport, NobodyIsNoAnswer) {
  const auto report =
      explain_report(R"({"host": "a.test", "answer": 404, "why": "nothing"})");
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->answered);
  EXPECT_EQ(report->text, "host: a.test\nanswer: 404\nwhy: nothing\n");
}

}  // namespace
}  // namespace fealty::cli
