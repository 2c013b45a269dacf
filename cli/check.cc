#include "cli/check.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/log.h"

namespace fealty::cli {
namespace {

// A Unix socket whose backlog is full: somebody listens.
bool is_busy(int error) { return error == EAGAIN; }

bool is_nobody(int error) {
  return error == ECONNREFUSED || error == ENOENT || error == ENOTDIR;
}

}  // namespace

int http_status(const std::string& answer) {
  constexpr std::string_view kStart = "HTTP/1.";
  const std::string_view text = answer;
  const std::size_t end = text.find('\n');
  const std::size_t fits = std::min(text.size(), kStart.size());
  if (text.substr(0, fits) != kStart.substr(0, fits)) return -1;
  if (end == text.npos) return 0;
  int status = 0;
  const std::string_view digits = text.substr(kStart.size());
  if (digits.size() < 5 || digits[1] != ' ') return -1;
  for (const char c : digits.substr(2, 3)) {
    if (c < '0' || c > '9') return -1;
    status = status * 10 + (c - '0');
  }
  return status;
}

Check::Check(Loop& loop, const CheckTarget& target, Done on_done)
    : loop_(loop), target_(target), on_done_(std::move(on_done)) {
  io_.bind<&Check::on_ready>(loop_, this);
  limit_.bind<&Check::on_limit>(loop_, this);
  soon_.bind<&Check::connect_next>(loop_, this);
}

void Check::start() {
  if (limit_.active()) return;
  next_ = 0;
  limit_.start(kLimit_ms);
  soon_.start(0);
}

void Check::stop() {
  io_.stop();
  limit_.stop();
  soon_.stop();
  fd_.reset();
}

void Check::connect_next() {
  const Address& address = target_.addresses[next_++];
  io_.stop();
  connected_ = false;
  answer_.clear();
  fd_.reset(::socket(address.family(),
                     SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_.valid()) return failed(errno);
  if (::connect(fd_.get(), address.data(), address.length()) == 0) {
    return on_connected();
  }
  if (errno != EINPROGRESS) return failed(errno);
  io_.start(fd_.get(), EV_WRITE);
}

void Check::on_ready(int) {
  if (connected_) return on_answer();
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return failed(error);
  on_connected();
}

void Check::on_connected() {
  if (target_.request.empty()) return done(Finding::kAnswers, "");
  connected_ = true;
  // A new connection's buffer has room for a few hundred bytes.
  const ssize_t sent = ::send(fd_.get(), target_.request.data(),
                              target_.request.size(), MSG_NOSIGNAL);
  if (sent < 0) return failed(errno);
  io_.start(fd_.get(), EV_READ);
}

void Check::on_answer() {
  std::array<char, 1024> bytes;
  const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got < 0) return failed(errno);
  answer_.append(bytes.data(), static_cast<std::size_t>(got));
  int status = http_status(answer_);
  while (status >= 100 && status < 200 && status != 101) {
    // Hints, and what else comes before the answer.
    const std::size_t head_end = answer_.find("\r\n\r\n");
    if (head_end == answer_.npos) break;
    answer_.erase(0, head_end + 4);
    status = http_status(answer_);
  }
  const bool goes_on = status >= 100 && status < 200 && status != 101;
  if (goes_on && got > 0 && answer_.size() <= kHeadBytesMax) return;
  if (status >= 200 && status < 400) return done(Finding::kAnswers, "");
  if (status > 0) {
    return done(Finding::kBad, "it answers with " + std::to_string(status));
  }
  if (status < 0 || answer_.size() > kHeadBytesMax) {
    return done(Finding::kBad, "what answers there does not speak HTTP");
  }
  if (got == 0) done(Finding::kBad, "it closes the connection unanswered");
}

void Check::on_limit() {
  done(Finding::kBad,
       fmt::format("no answer within {} s", kLimit_ms / 1000));
}

void Check::failed(int error) {
  if (target_.request.empty() && is_busy(error)) {
    return done(Finding::kAnswers, "");
  }
  if (next_ < target_.addresses.size()) {
    soon_.start(0);
    return;
  }
  done(is_nobody(error) ? Finding::kNobody : Finding::kBad,
       std::strerror(error));
}

void Check::done(Finding finding, const std::string& why) {
  stop();
  on_done_(finding, why);
}

}  // namespace fealty::cli
