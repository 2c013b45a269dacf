#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/byte_ring.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/result.h"

namespace fealty::router {

// Takes the access log's lines from the workers to their file on a thread of its
// own. A worker hands a line to a ring that is its own, and goes on: where the
// file does not take them fast enough (a pipe that nobody reads, a full disk),
// lines are dropped and counted, and no request waits. The thread sleeps while
// there is nothing; whoever ends that makes one system call, and then it gathers
// for kGather_ms.
//
// Bounds: kRingBytes a worker.
class AccessLog {
 public:
  static constexpr std::size_t kRingBytes = std::size_t{1} << 20;
  static constexpr std::int64_t kGather_ms = 20;
  // What is there at the end is still written, for so long.
  static constexpr std::int64_t kEnd_ms = 1'000;

  explicit AccessLog(unsigned workers);
  ~AccessLog();
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  struct Owner {
    uid_t user;
    gid_t group;
  };
  // Where lines go: "-" is stdout. A file is made if it is not there (mode
  // 0640, and `owner`'s, who is to open it again), and appended to.
  [[nodiscard]] static Result<UniqueFd> open(const std::string& path,
                                             std::optional<Owner> owner = {});

  // The control thread: the next lines go there.
  void write_to(UniqueFd file);
  // Begins to write. The control thread, once, when privileges were dropped.
  void start();

  // Worker `worker`'s thread; at most 4096 of them.
  void push(unsigned worker, std::span<const char> line);

  [[nodiscard]] std::uint64_t written() const { return written_.load(); }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_.load(); }

 private:
  void run();
  [[nodiscard]] bool write_out();
  [[nodiscard]] ssize_t write_lines(int file, std::span<const char> lines);
  void say_lost(int error);
  [[nodiscard]] bool sleep();
  void wake();

  std::vector<std::unique_ptr<ByteRing>> rings_;
  std::mutex mutex_;                   // of file_
  std::shared_ptr<const UniqueFd> file_;
  // The thread's own.
  bool amid_line_ = false;             // the file ends with half a line
  bool lost_ = false;                  // and the other half will not come
  log::Limiter error_log_{10'000};
  std::atomic<std::uint32_t> asleep_{0};
  std::atomic<bool> ending_{false};
  std::atomic<std::uint64_t> written_{0};  // lines
  std::atomic<std::uint64_t> dropped_{0};
  std::thread thread_;
};

}  // namespace fealty::router
