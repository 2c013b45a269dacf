#include "router/stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <string>

#include "tests/unit/router/sockets.h"

namespace fealty::router {
namespace {

using Kind = IoResult::Kind;

struct Pair {
  explicit Pair(std::pair<UniqueFd, UniqueFd> ends = test::unix_pair())
      : stream(std::move(ends.first)), peer(std::move(ends.second)) {}
  Stream stream;
  test::Peer peer;
};

TEST(Stream, BytesPassBothWays) {
  Pair pair;
  EXPECT_TRUE(pair.stream.write(std::string("hello")).ok());
  EXPECT_EQ(pair.peer.take(), "hello");
  pair.peer.send("world!");
  std::array<char, 5> bytes{};
  const IoResult first = pair.stream.read(bytes);
  EXPECT_TRUE(first.ok());
  EXPECT_EQ(first.bytes, 5U);
  EXPECT_EQ(std::string(bytes.data(), 5), "world");
  EXPECT_EQ(pair.stream.read(bytes).bytes, 1U);
}

TEST(Stream, NothingThereWouldBlock) {
  Pair pair;
  std::array<char, 5> bytes{};
  EXPECT_EQ(pair.stream.read(bytes).kind, Kind::kWouldBlock);
}

TEST(Stream, FullSocketWouldBlockAfterWhatItTook) {
  Pair pair;
  const std::string much(8 << 20, 'x');
  const IoResult first = pair.stream.write(much);
  EXPECT_TRUE(first.ok());
  EXPECT_LT(first.bytes, much.size());
  EXPECT_EQ(pair.stream.write(much).kind, Kind::kWouldBlock);
  EXPECT_EQ(pair.peer.take().size(), first.bytes);
}

TEST(Stream, EndOfThePeerIsTheEnd) {
  Pair pair;
  pair.peer.send("last");
  pair.peer.close();
  std::array<char, 16> bytes{};
  EXPECT_EQ(pair.stream.read(bytes).bytes, 4U);
  EXPECT_EQ(pair.stream.read(bytes).kind, Kind::kEnd);
}

TEST(Stream, WriteToAPeerThatIsGoneIsAnErrorAndNoSignal) {
  ::signal(SIGPIPE, SIG_DFL);
  Pair pair;
  pair.peer.close();
  const IoResult result = pair.stream.write(std::string("x"));
  EXPECT_EQ(result.kind, Kind::kError);
  EXPECT_EQ(result.error, EPIPE);
  const iovec part{const_cast<char*>("y"), 1};
  EXPECT_EQ(pair.stream.write(&part, 1).kind, Kind::kError);
}

TEST(Stream, ResetOfThePeerIsAnError) {
  Pair pair(test::tcp_pair());
  pair.peer.reset();
  std::array<char, 4> bytes{};
  const IoResult result = pair.stream.read(bytes);
  EXPECT_EQ(result.kind, Kind::kError);
  EXPECT_EQ(result.error, ECONNRESET);
}

TEST(Stream, PartsAreWrittenInOrder) {
  Pair pair;
  std::string one = "one ", two = "two ", three = "three";
  const iovec parts[] = {{one.data(), one.size()},
                         {nullptr, 0},
                         {two.data(), two.size()},
                         {three.data(), three.size()}};
  EXPECT_EQ(pair.stream.write(parts, 4).bytes, 13U);
  EXPECT_EQ(pair.peer.take(), "one two three");
}

TEST(Stream, FileIsSentFromItsOffset) {
  const test::TempDir temp;
  const UniqueFd file(::open((temp / "f").c_str(), O_CREAT | O_RDWR, 0600));
  ASSERT_EQ(::write(file.get(), "0123456789", 10), 10);
  Pair pair;
  off_t offset = 3;
  EXPECT_EQ(pair.stream.send_file(file.get(), offset, 4).bytes, 4U);
  EXPECT_EQ(offset, 7);
  EXPECT_EQ(pair.stream.send_file(file.get(), offset, 100).bytes, 3U);
  EXPECT_EQ(pair.stream.send_file(file.get(), offset, 1).kind, Kind::kEnd);
  EXPECT_EQ(pair.peer.take(), "3456789");
}

TEST(Stream, WritingMayEndBeforeReading) {
  Pair pair;
  pair.stream.shut_down_writing();
  EXPECT_TRUE(pair.peer.ended());
  EXPECT_EQ(pair.peer.end(), 0);
  pair.peer.send("still");
  std::array<char, 16> bytes{};
  EXPECT_EQ(pair.stream.read(bytes).bytes, 5U);
}

TEST(Stream, CloseIsARegularEndAndResetIsNot) {
  Pair regular(test::tcp_pair());
  regular.stream.close();
  EXPECT_FALSE(regular.stream.open());
  EXPECT_TRUE(regular.peer.wait_for_end());
  EXPECT_EQ(regular.peer.end(), 0);
  Pair cut(test::tcp_pair());
  cut.stream.reset();
  EXPECT_FALSE(cut.stream.open());
  EXPECT_TRUE(cut.peer.wait_for_end());
  EXPECT_EQ(cut.peer.end(), ECONNRESET);
}

}  // namespace
}  // namespace fealty::router
