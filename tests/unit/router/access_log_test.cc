#include "router/access_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/router/sockets.h"

namespace fealty::router {
namespace {

std::string text_of(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(AccessLog, LinesOfAllWorkersArriveWhole) {
  test::TempDir temp;
  const std::string path = temp / "log";
  constexpr unsigned kWorkers = 4;
  constexpr int kLines = 20'000;
  {
    AccessLog log(kWorkers);
    log.write_to(std::move(*AccessLog::open(path)));
    log.start();
    std::vector<std::thread> threads;
    for (unsigned worker = 0; worker < kWorkers; ++worker) {
      threads.emplace_back([&log, worker] {
        for (int i = 0; i < kLines; ++i) {
          log.push(worker, std::to_string(worker) + " " + std::to_string(i) +
                               std::string(40, 'x') + "\n");
        }
      });
    }
    for (auto& thread : threads) thread.join();
    ASSERT_TRUE(test::eventually([&] {
      return log.written() + log.dropped() == kWorkers * kLines;
    }));
    EXPECT_GT(log.written(), 0U);
  }
  std::ifstream in(path);
  std::string line;
  std::vector<int> last(kWorkers, -1);
  while (std::getline(in, line)) {
    ASSERT_TRUE(line.ends_with(std::string(40, 'x'))) << line;
    const auto worker = static_cast<std::size_t>(line[0] - '0');
    const int number = std::stoi(line.substr(2));
    ASSERT_GT(number, last.at(worker));
    last[worker] = number;
  }
}

TEST(AccessLog, WhatIsThereAtTheEndIsWritten) {
  test::TempDir temp;
  const std::string path = temp / "log";
  {
    AccessLog log(1);
    log.write_to(std::move(*AccessLog::open(path)));
    log.start();
    log.push(0, std::string("one\n"));
    log.push(0, std::string("two\n"));
  }
  EXPECT_EQ(text_of(path), "one\ntwo\n");
}

TEST(AccessLog, LinesGoToTheNextFileFromNowOn) {
  test::TempDir temp;
  AccessLog log(1);
  log.write_to(std::move(*AccessLog::open(temp / "one")));
  log.start();
  log.push(0, std::string("1\n"));
  ASSERT_TRUE(test::eventually([&] { return log.written() == 1; }));
  log.write_to(std::move(*AccessLog::open(temp / "two")));
  log.push(0, std::string("2\n"));
  ASSERT_TRUE(test::eventually([&] { return log.written() == 2; }));
  EXPECT_EQ(text_of(temp / "one"), "1\n");
  EXPECT_EQ(text_of(temp / "two"), "2\n");
}

TEST(AccessLog, FullPipeDropsAndCountsAndTheEndComes) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  AccessLog log(1);
  log.write_to(UniqueFd(ends[1]));
  log.start();
  const std::string line = std::string(1000, 'x') + "\n";
  constexpr int kLines = 3000;  // three rings' full
  for (int i = 0; i < kLines; ++i) log.push(0, line);
  EXPECT_GT(log.dropped(), 0U);
}

TEST(AccessLog, FileThatFailsCountsAsDropped) {
  AccessLog log(1);
  log.write_to(UniqueFd(::open("/dev/full", O_WRONLY | O_CLOEXEC)));
  log.start();
  log.push(0, std::string("lost\n"));
  EXPECT_TRUE(test::eventually([&] { return log.dropped() == 1; }));
  EXPECT_EQ(log.written(), 0U);
}

// A file may grow to so many bytes, as on a disk that is full.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST(AccessLog, LineBehindHalfALineBeginsANewOne) {
  test::TempDir temp;
  const std::string path = temp / "log";
  AccessLog log(1);
  log.write_to(std::move(*AccessLog::open(path)));
  log.start();
  {
    const FileSizeLimit limit(6);
    log.push(0, std::string("one\ntwo\n"));
    ASSERT_TRUE(test::eventually([&] { return log.dropped() == 1; }));
  }
  log.push(0, std::string("three\n"));
  ASSERT_TRUE(test::eventually([&] { return log.written() == 2; }));
  EXPECT_EQ(text_of(path), "one\ntw\nthree\n");
}

TEST(AccessLog, PipeOnStdoutIsOpenedSoThatNoWriteWaits) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  const UniqueFd before(::dup(STDOUT_FILENO));
  ::dup2(ends[1], STDOUT_FILENO);
  const auto own = AccessLog::open("-");
  const int shared_flags = ::fcntl(STDOUT_FILENO, F_GETFL);
  ::dup2(before.get(), STDOUT_FILENO);
  ::close(ends[1]);
  ASSERT_TRUE(own);
  EXPECT_NE(::fcntl(own->get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(shared_flags & O_NONBLOCK, 0);
}

}  // namespace
}  // namespace fealty::router
