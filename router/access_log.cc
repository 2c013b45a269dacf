#include "router/access_log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/log.h"

namespace fealty::router {
namespace {

constexpr mode_t kFileMode = 0640;
// What a pipe that is ready takes without waiting.
constexpr std::size_t kPipeBytes = 4096;
constexpr int kWait_ms = 100;

bool is_regular(int file) {
  struct stat status {};
  return ::fstat(file, &status) == 0 && S_ISREG(status.st_mode);
}

// Whole lines only, so that what others write to the same pipe comes between.
std::span<const char> whole_lines(std::span<const char> lines,
                                  std::size_t most) {
  if (lines.size() <= most) return lines;
  const std::string_view text(lines.data(), most);
  const std::size_t end = text.rfind('\n');
  return lines.first(end == text.npos ? most : end + 1);
}

std::uint64_t lines_in(std::span<const char> bytes) {
  return static_cast<std::uint64_t>(
      std::count(bytes.begin(), bytes.end(), '\n'));
}

// A pipe is opened anew: waiting or not is a property that everyone shares who
// has the same opening of it.
UniqueFd open_stdout() {
  struct stat status {};
  if (::fstat(STDOUT_FILENO, &status) == 0 && S_ISFIFO(status.st_mode)) {
    UniqueFd own(::open("/proc/self/fd/1",
                        O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (own.valid()) return own;
  }
  return UniqueFd(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
}

UniqueFd open_file(const std::string& path,
                   const std::optional<AccessLog::Owner>& owner) {
  constexpr int kFlags =
      O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  UniqueFd file(::open(path.c_str(), kFlags | O_EXCL, kFileMode));
  if (!file.valid() && errno == EEXIST) {
    return UniqueFd(::open(path.c_str(), kFlags, kFileMode));
  }
  if (file.valid() && owner &&
      ::fchown(file.get(), owner->user, owner->group) != 0) {
    file.reset();
  }
  return file;
}

// What does not wait for long: 0 where the file takes nothing for now, -1 where
// it fails.
ssize_t write_some(int file, std::span<const char> lines) {
  if (!is_regular(file)) {
    pollfd ready{file, POLLOUT, 0};
    if (::poll(&ready, 1, kWait_ms) <= 0) return 0;
    lines = whole_lines(lines, kPipeBytes);
  }
  const ssize_t bytes = ::write(file, lines.data(), lines.size());
  if (bytes > 0) return bytes;
  return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

}  // namespace

AccessLog::AccessLog(unsigned workers) {
  for (unsigned i = 0; i < workers; ++i) {
    rings_.push_back(std::make_unique<ByteRing>(kRingBytes));
  }
}

AccessLog::~AccessLog() {
  ending_ = true;
  wake();
  if (thread_.joinable()) thread_.join();
}

Result<UniqueFd> AccessLog::open(const std::string& path,
                                 std::optional<Owner> owner) {
  UniqueFd file = path == "-" ? open_stdout() : open_file(path, owner);
  if (file.valid()) return file;
  return Error{"access_log: " + (path == "-" ? "stdout" : path) +
               " cannot be opened: " + std::strerror(errno)};
}

void AccessLog::write_to(UniqueFd file) {
  auto next = std::make_shared<const UniqueFd>(std::move(file));
  const std::lock_guard lock(mutex_);
  file_.swap(next);
}

void AccessLog::start() {
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
}

void AccessLog::push(unsigned worker, std::span<const char> line) {
  if (!rings_[worker]->push(line)) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  // Either the writer sees the line before it sleeps, or this sees it asleep.
  if (asleep_.load() != 0) wake();
}

void AccessLog::wake() {
  if (asleep_.exchange(0) != 0) asleep_.notify_one();
}

void AccessLog::run() {
  ::prctl(PR_SET_NAME, "access-log");
  std::chrono::steady_clock::time_point until;
  bool ends = false;
  while (true) {
    const bool wrote = write_out();
    if (ending_ && !ends) {
      ends = true;
      until = std::chrono::steady_clock::now() +
              std::chrono::milliseconds(kEnd_ms);
      continue;  // once more, for what came just before
    }
    const bool left = std::any_of(
        rings_.begin(), rings_.end(),
        [](const auto& ring) { return !ring->peek().empty(); });
    if (ends && (!left || std::chrono::steady_clock::now() >= until)) return;
    if (!wrote && !left && !sleep()) continue;
    if (!ends) {
      std::this_thread::sleep_for(std::chrono::milliseconds(kGather_ms));
    }
  }
}

// Until there is something. False: there is already.
bool AccessLog::sleep() {
  asleep_.store(1);
  const bool something =
      ending_ || std::any_of(rings_.begin(), rings_.end(), [](const auto& ring) {
        return !ring->peek().empty();
      });
  if (something) {
    asleep_.store(0);
    return false;
  }
  asleep_.wait(1);
  return true;
}

// What was lost may have left half a line, which is ended first.
ssize_t AccessLog::write_lines(int file, std::span<const char> lines) {
  if (amid_line_ && lost_) {
    const ssize_t ended = write_some(file, std::span<const char>("\n", 1));
    if (ended <= 0) return ended;
    amid_line_ = false;
  }
  const ssize_t result = write_some(file, lines);
  if (result > 0) {
    amid_line_ = lines[static_cast<std::size_t>(result) - 1] != '\n';
  }
  lost_ = result < 0 || (result == 0 && lost_);
  return result;
}

void AccessLog::say_lost(int error) {
  std::uint64_t suppressed = 0;
  if (!error_log_.allow(coarse_monotonic_ms(), &suppressed)) return;
  log::error("access_log: lines are lost: {}", std::strerror(error));
}

// Everything that the file takes now, at most once around each ring. False:
// nothing was there, or nothing was taken.
bool AccessLog::write_out() {
  std::shared_ptr<const UniqueFd> file;
  {
    const std::lock_guard lock(mutex_);
    file = file_;
  }
  bool any = false;
  for (const auto& ring : rings_) {
    for (int part = 0; part < 2; ++part) {  // around the ring's end
      while (true) {
        const auto lines = ring->peek();
        if (lines.empty()) break;
        const ssize_t result = write_lines(file->get(), lines);
        if (result == 0) return any;
        // Where it fails altogether, the lines are lost.
        if (result < 0) say_lost(errno);
        auto& count = result > 0 ? written_ : dropped_;
        const std::size_t bytes =
            result > 0 ? static_cast<std::size_t>(result) : lines.size();
        count += lines_in(lines.first(bytes));
        ring->consume(bytes);
        any = true;
        if (bytes == lines.size()) break;
      }
    }
  }
  return any;
}

}  // namespace fealty::router
