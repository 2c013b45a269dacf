#include "cli/client/event_reader.h"

#include <gtest/gtest.h>

namespace fealty::cli {
namespace {

TEST(EventReader, TellsOfEventsOfItsName) {
  EventReader events("alarm");
  EXPECT_FALSE(events.feed("retry: 2000\n\n:\n\n"));
  EXPECT_FALSE(events.feed("id: 1\nevent: tag\ndata: event: alarm\n\n"));
  EXPECT_TRUE(events.feed("id: 2\nevent: tag\n\nid: 3\nevent: alarm\ndata: {}\n\n"));
  EXPECT_FALSE(events.feed("event: alarms\nevents: alarm\nevent alarm\n"));
}

TEST(EventReader, PiecesMayBeginAnywhere) {
  EventReader events("alarm");
  int count = 0;
  for (const char c : std::string_view("event: alarm\r\nevent:alarm\revent: alar\n")) {
    count += events.feed({&c, 1}) ? 1 : 0;
  }
  EXPECT_EQ(count, 2);
}

TEST(EventReader, RemembersTheLastRetryThatIsANumber) {
  EventReader events("alarm");
  EXPECT_EQ(events.retry_ms(), std::nullopt);
  for (const char* line : {"retry: 300\n", "retry: x\n", "retry: -1\n", "retry: 1 s\n",
                           "retry: 99999999999999999999\n", "retry:\n"}) {
    EXPECT_FALSE(events.feed(line));
    EXPECT_EQ(events.retry_ms(), 300);
  }
}

TEST(EventReader, LongLinesArePassedOver) {
  EventReader events("alarm");
  EXPECT_FALSE(events.feed("event: "));
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(events.feed(std::string(1000, 'x')));
  EXPECT_FALSE(events.feed("\n"));
  EXPECT_TRUE(events.feed("event: alarm\n"));
}

}  // namespace
}  // namespace fealty::cli
