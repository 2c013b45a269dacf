#include "router/access_line.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace fealty::router {
namespace {

std::string line_of(AccessFormat format, const AccessEntry& entry) {
  AccessClock clock;
  std::vector<char> out(kAccessLineBytesMax);
  const std::size_t bytes = write_access_line(format, entry, clock, out);
  return {out.data(), bytes};
}

AccessEntry entry() {
  AccessEntry made;
  made.unix_ms = 1'795'308'705'042;
  made.remote_addr = "192.0.2.7";
  made.remote_port = "4711";
  made.method = "GET";
  made.target = "/a?b";
  made.protocol = "HTTP/1.1";
  made.host = "example.com";
  made.user_agent = "curl";
  made.key = "example.com";
  made.node = "/run/1";
  made.status = 200;
  made.body_bytes = 2;
  made.sent_bytes = 40;
  made.duration_ms = 7;
  made.request_id = 0xab;
  return made;
}

TEST(AccessLine, JsonHasEveryField) {
  EXPECT_EQ(line_of(AccessFormat::kJson, entry()),
            "{\"time\":\"2026-11-22T00:51:45.042Z\",\"remote_addr\":"
            "\"192.0.2.7\",\"remote_port\":\"4711\",\"method\":\"GET\","
            "\"uri\":\"/a?b\",\"protocol\":\"HTTP/1.1\",\"host\":"
            "\"example.com\",\"status\":200,\"bytes_sent\":40,"
            "\"body_bytes_sent\":2,\"duration_ms\":7,\"https\":false,\"key\":"
            "\"example.com\",\"node\":\"/run/1\",\"referer\":\"\","
            "\"user_agent\":\"curl\",\"request_id\":\"00000000000000ab\"}\n");
}

TEST(AccessLine, CombinedIsAsNginxWritesIt) {
  const std::string line = line_of(AccessFormat::kCombined, entry());
  EXPECT_TRUE(line.starts_with("192.0.2.7 - - ["));
  EXPECT_TRUE(line.ends_with("] \"GET /a?b HTTP/1.1\" 200 2 \"-\" \"curl\"\n"));
}

TEST(AccessLine, WhatIsNotKnownIsEmpty) {
  const std::string line = line_of(AccessFormat::kCombined, AccessEntry{});
  EXPECT_TRUE(line.starts_with("- - - ["));
  EXPECT_TRUE(line.ends_with("] \"\" 0 0 \"-\" \"-\"\n"));
}

TEST(AccessLine, NothingEndsALineOrAField) {
  std::string evil;
  for (int byte = 0; byte < 256; ++byte) evil += static_cast<char>(byte);
  AccessEntry made = entry();
  made.method = made.target = made.host = made.referer = made.user_agent = evil;
  for (const auto format : {AccessFormat::kJson, AccessFormat::kCombined}) {
    const std::string line = line_of(format, made);
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    for (const char c : line.substr(0, line.size() - 1)) {
      EXPECT_TRUE(c >= 0x20 && c < 0x7f);
    }
  }
  const std::string combined = line_of(AccessFormat::kCombined, made);
  EXPECT_EQ(std::count(combined.begin(), combined.end(), '"'), 6);
  EXPECT_NE(combined.find("!\\x22#"), combined.npos);
  EXPECT_NE(combined.find("[\\x5c]"), combined.npos);
  EXPECT_NE(line_of(AccessFormat::kJson, made).find("!\\u0022#"),
            std::string::npos);
}

TEST(AccessLine, TheLargestEntryFits) {
  const std::string long_text(70'000, '\x01');
  AccessEntry made = entry();
  made.method = made.target = made.host = made.referer = made.user_agent =
      made.key = made.node = made.remote_addr = long_text;
  made.remote_addr = "192.0.2.7";
  for (const auto format : {AccessFormat::kJson, AccessFormat::kCombined}) {
    EXPECT_LT(line_of(format, made).size(), kAccessLineBytesMax);
  }
}

}  // namespace
}  // namespace fealty::router
