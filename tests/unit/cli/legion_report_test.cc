#include "cli/legion_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace fealty::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kLegionStats = R"({"version":"1","pid":7,"legions":[
 {"legion":"cluster","addr":"10.1.0.1:2000","uuid":"aaaa","valor":98,"quorum":2,
  "lord_uuid":"aaaa","wire":"sealed","role":"lord","votes":2,"has_quorum":true,
  "why_no_quorum":"","tolerance_ms":3000,"scroll":"","suspended":false,
  "addresses":["10.1.0.100/24 dev eth0"],
  "lord":{"uuid":"aaaa","name":"this member","valor":98,"since":1000,"scroll":""},
  "members":[{"name":"two\n","uuid":"bbbb","valor":0,"address":"10.1.0.2:2000",
   "arbiter":true,"counted":true,"is_lord":false,"vote_uuid":"aaaa","scroll":"s",
   "heard_ms_ago":400,"skew":-1}]},
 {"legion":"other","has_quorum":false,"lord":null,"wire":"uwsgi",
  "why_no_quorum":"only 1 member(s) are here, 2 votes are needed"}]})";

TEST(LegionReport, ShowsTheForwarder) {
  const auto report = legion_report(
      R"({"legions":[],"forwarder":{"wire":"sealed","senders":2,
       "listen":"/run/subscribe/dgram","to":["10.1.0.2:3022","10.1.0.3:3022\n"],
       "receive":"10.1.0.1:3022","deliver":"/run/subscribe/http",
       "counters":{"taken":3,"sent":6,"send_errors":0},"dropped":{"stale":0}}})",
      "", 0);
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->found);
  EXPECT_TRUE(report->has_quorum) << "no Legion wants one";
  EXPECT_EQ(report->text,
            "forwarder (sealed wire, 2 senders heard)\n"
            "  From /run/subscribe/dgram to 10.1.0.2:3022 10.1.0.3:3022\\x0a; "
            "from 10.1.0.1:3022 to /run/subscribe/http\n"
            "  Counted: taken 3, sent 6\n"
            "  Dropped: nothing\n");
  EXPECT_FALSE(legion_report(R"({"legions":[],"forwarder":null})", "", 0)->found);
}

TEST(LegionReport, ShowsLordVotesMembersAndWhyThereIsNone) {
  const auto report = legion_report(kLegionStats, "", 1060);
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->found);
  EXPECT_FALSE(report->has_quorum);
  EXPECT_THAT(report->text, HasSubstr("cluster (sealed wire, tolerance 3s)"));
  EXPECT_THAT(report->text,
              HasSubstr("Lord: this member (valor 98, aaaa) for 60s, holds "
                        "10.1.0.100/24 dev eth0"));
  EXPECT_THAT(report->text, HasSubstr("Quorum: 2 votes of 2 needed"));
  EXPECT_THAT(report->text, HasSubstr("two\\x0a"));
  EXPECT_THAT(report->text, HasSubstr("arbiter"));
  EXPECT_THAT(report->text, HasSubstr("Lord: nobody"));
  EXPECT_THAT(report->text, HasSubstr("No quorum: only 1 member(s) are here"));
}

TEST(LegionReport, OneLegionAlone) {
  const auto report = legion_report(kLegionStats, "cluster", 1060);
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->has_quorum);
  EXPECT_THAT(report->text, Not(HasSubstr("other")));
  EXPECT_FALSE(legion_report(kLegionStats, "none", 1060)->found);
}

TEST(LegionReport, WhateverIsMissingIsADash) {
  const auto report = legion_report(
      R"({"legions":[{},{"lord":{},"members":[{}, 3]},[],"x",null]})", "", 0);
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->has_quorum);
}

TEST(LegionReport, AnythingElseIsAnError) {
  for (const char* const text : {"", "{", "[]", "{}", R"({"legions":3})"}) {
    EXPECT_FALSE(legion_report(text, "", 0)) << text;
  }
}

}  // namespace
}  // namespace fealty::cli
