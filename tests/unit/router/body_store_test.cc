#include "router/body_store.h"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <string>

#include "tests/unit/http/random_text.h"
#include "tests/unit/router/sockets.h"

namespace fealty::router {
namespace {

class BodyStoreTest : public testing::Test {
 protected:
  BodyStoreTest() {
    ::signal(SIGPIPE, SIG_IGN);  // as the router does
    auto ends = test::unix_pair();
    stream_ = Stream(std::move(ends.first));
    peer_ = test::Peer(std::move(ends.second));
  }
  // All of the store, read in turns with the writing.
  std::string sent_by(BodyStore& store) {
    for (int i = 0; i < 100'000 && !store.all_written(); ++i) {
      const IoResult result = store.write_to(stream_);
      EXPECT_TRUE(result.ok() || result.would_block());
      if (result.would_block()) peer_.read();
    }
    EXPECT_TRUE(store.all_written());
    return peer_.take();
  }
  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(temp_.path()),
                      std::filesystem::directory_iterator()));
  }

  test::TempDir temp_;
  const std::string no_dir_ = temp_ / "not there";
  Stream stream_;
  test::Peer peer_;
};

TEST_F(BodyStoreTest, EmptyStoreIsAllWritten) {
  BodyStore store(temp_.path(), 10);
  EXPECT_EQ(store.size(), 0U);
  EXPECT_TRUE(store.all_written());
  EXPECT_TRUE(store.write_to(stream_).end());
}

TEST_F(BodyStoreTest, FolderIsItsOwnWhateverBecomesOfTheConfiguration) {
  std::string configured = temp_.path();
  BodyStore store(configured, 4);
  EXPECT_TRUE(store.append(std::string("0123")));
  configured = no_dir_;
  EXPECT_TRUE(store.append(std::string("456789")));
  EXPECT_EQ(sent_by(store), "0123456789");
}

TEST_F(BodyStoreTest, WhatFitsInMemoryNeedsNoFile) {
  BodyStore store(no_dir_, 10);
  EXPECT_TRUE(store.append(std::string("0123")));
  EXPECT_TRUE(store.append(std::string()));
  EXPECT_TRUE(store.append(std::string("456789")));
  EXPECT_EQ(store.size(), 10U);
  EXPECT_EQ(sent_by(store), "0123456789");
}

TEST_F(BodyStoreTest, FirstByteBeyondMemoryNeedsAFile) {
  BodyStore store(no_dir_, 10);
  EXPECT_TRUE(store.append(std::string("0123456789")));
  EXPECT_FALSE(store.append(std::string("x")));
}

TEST_F(BodyStoreTest, BytesKeepTheirOrderAcrossMemoryAndFile) {
  BodyStore store(temp_.path(), 10);
  EXPECT_TRUE(store.append(std::string("0123")));
  EXPECT_TRUE(store.append(std::string("456789abcdef")));
  EXPECT_TRUE(store.append(std::string("ghi")));
  EXPECT_EQ(store.size(), 19U);
  EXPECT_EQ(sent_by(store), "0123456789abcdefghi");
}

TEST_F(BodyStoreTest, WithoutMemoryAllIsInTheFile) {
  BodyStore store(temp_.path(), 0);
  EXPECT_TRUE(store.append(std::string("hello")));
  EXPECT_EQ(sent_by(store), "hello");
}

TEST_F(BodyStoreTest, FileHasNoName) {
  BodyStore store(temp_.path(), 0);
  EXPECT_TRUE(store.append(std::string(100'000, 'x')));
  EXPECT_EQ(files(), 0U);
}

TEST_F(BodyStoreTest, LargeBodyIsWrittenInPieces) {
  test::Random random;
  for (const std::size_t memory : {0U, 1'000U, 300'000U, 5'000'000U}) {
    const std::string body = random.bytes(3'000'000);
    BodyStore store(temp_.path(), memory);
    for (std::size_t at = 0; at < body.size(); at += 70'001) {
      ASSERT_TRUE(store.append(std::string_view(body).substr(at, 70'001)));
    }
    EXPECT_EQ(store.size(), body.size());
    EXPECT_TRUE(sent_by(store) == body) << memory;
  }
}

TEST_F(BodyStoreTest, FullSocketBlocksAndLosesNothing) {
  const std::string body(2'000'000, 'b');
  BodyStore store(temp_.path(), 1'000'000);
  ASSERT_TRUE(store.append(body));
  while (store.write_to(stream_).ok()) {
  }
  EXPECT_TRUE(store.write_to(stream_).would_block());
  EXPECT_FALSE(store.all_written());
  EXPECT_TRUE(sent_by(store) == body);
}

TEST_F(BodyStoreTest, RewoundItBeginsAgain) {
  test::Random random;
  const std::string body = random.bytes(50'000);
  BodyStore store(temp_.path(), 10'000);
  ASSERT_TRUE(store.append(body));
  ASSERT_TRUE(store.write_to(stream_).ok());
  peer_.take();
  store.rewind();
  EXPECT_FALSE(store.all_written());
  EXPECT_TRUE(sent_by(store) == body);
  store.rewind();
  EXPECT_TRUE(sent_by(store) == body);
}

TEST_F(BodyStoreTest, PeerThatIsGoneIsAnError) {
  for (const std::size_t memory : {0U, 100U}) {
    auto ends = test::unix_pair();
    Stream stream(std::move(ends.first));
    ends.second.reset();
    BodyStore store(temp_.path(), memory);
    ASSERT_TRUE(store.append(std::string("hello")));
    const IoResult result = store.write_to(stream);
    EXPECT_EQ(result.kind, IoResult::Kind::kError) << memory;
    EXPECT_EQ(result.error, EPIPE) << memory;
  }
}

}  // namespace
}  // namespace fealty::router
