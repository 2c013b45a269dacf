#include "api/http_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "api/http_server.h"
#include "base/clock.h"

namespace fealty::api {
namespace {

constexpr std::size_t kPieceBytes = 16'384;
// Of what comes after an answer so much is read and forgotten, for so long.
constexpr std::size_t kDrainBytesMax = std::size_t{1} << 20;
constexpr std::int64_t kLingerMs = 2'000;
constexpr std::int64_t kLastCallMs = 200;
constexpr std::int64_t kHeartbeatMs = 15'000;
constexpr std::string_view kHeartbeat = ":\n\n";
// Who follows comes back after so long, and is asked anew who it is; those who came
// together, at a restart, do not leave together.
constexpr std::int64_t kFollowMs = 600'000;
constexpr std::int64_t kFollowSpreadMs = 1'000;
constexpr std::uint64_t kFollowSpreads = 64;
// So much may wait for who follows.
constexpr std::size_t kFeedBytesMax = std::size_t{256} << 10;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

bool would_block() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

Answer refusal_of(const http::HeadProblem& problem,
                  const http::RequestHead& head) {
  if (problem.status == 417) {
    return refusal(417, "Expectation failed", std::string(problem.reason));
  }
  // A method that HTTP does not know is none that a path knows.
  const bool is_method = problem.status == 501 &&
                         (head.method.empty() || head.method == "CONNECT");
  if (!is_method) return bad_request(std::string(problem.reason));
  Answer answer = method_not_allowed();
  answer.headers["Allow"] = "GET, HEAD, POST, DELETE, OPTIONS";
  return answer;
}

bool takes_body(const std::string& method) {
  return method != "GET" && method != "HEAD" && method != "OPTIONS";
}

}  // namespace

HttpConnection::HttpConnection(ConnectionOwner& owner, Loop& loop,
                               std::uint64_t id, UniqueFd socket, Peer peer,
                               std::int64_t now_ms)
    : owner_(owner),
      id_(id),
      socket_(std::move(socket)),
      peer_(std::move(peer)),
      deadline_ms_(now_ms + HttpServer::kReadMs),
      now_ms_(now_ms) {
  io_.bind<&HttpConnection::on_io>(loop, this);
  io_.start(socket_.get(), EV_READ);
}

void HttpConnection::on_io(int events) {
  now_ms_ = coarse_monotonic_ms();
  switch (state_) {
    case State::kHead:
    case State::kBody: return receive();
    case State::kWriting: return send();
    case State::kLingering: return drain();
    case State::kFollowing: return on_follower(events);
    case State::kAdmitting:
    case State::kAnswering: return;
  }
}

void HttpConnection::receive() {
  std::array<char, kPieceBytes> piece;
  const ssize_t got = ::recv(socket_.get(), piece.data(), piece.size(), 0);
  if (got < 0 && would_block()) return;
  if (got <= 0) {
    if (state_ == State::kHead || got < 0) return close();
    return write(completed(bad_request("the body did not come whole")));
  }
  in_.append(piece.data(), static_cast<std::size_t>(got));
  if (state_ == State::kHead) return read_head();
  read_body();
  if (whole_ && state_ == State::kBody) hand_over(State::kAnswering);
}

void HttpConnection::read_head() {
  using Step = http::HeadScanner::Step;
  const Step step = scanner_.scan(in_);
  if (step == Step::kNeedMore && in_.size() <= HttpServer::kHeadBytesMax) return;
  http::RequestHead head;
  http::HeadProblem problem{400, "the head holds what none may hold"};
  if (scanner_.head_bytes() > HttpServer::kHeadBytesMax) {
    return write(completed(refusal(431, "Request header fields too large")));
  }
  if (step == Step::kComplete) {
    problem = http::parse_request_head(
        std::string_view(in_).substr(0, scanner_.head_bytes()), head);
  }
  if (problem.status != 0) return write(completed(refusal_of(problem, head)));
  auto request = read_request(head, peer_);
  if (!request) return write(completed(request.error()));
  std::string network = network_of(request->address);
  if (!owner_.may_enter(network)) return write(completed(too_many(1)));
  network_ = std::move(network);
  to_head_ = head.is_head();
  wants_continue_ = head.expect_continue;
  framing_ = head.framing;
  body_left_ = head.content_length;
  exchange_ = std::make_shared<Exchange>(Exchange{id_, *std::move(request)});
  in_.erase(0, scanner_.head_bytes());
  if (!takes_body(exchange_->request.method)) {
    // It is not read, and refused by its length as one that is.
    whole_ = framing_ == http::BodyFraming::kNone;
    exchange_->request.body_too_large = body_left_ > kBodyBytesMax;
    return hand_over(State::kAnswering);
  }
  read_body();
  if (state_ != State::kHead) return;
  const bool answerable = whole_ || exchange_->request.body_too_large;
  hand_over(answerable ? State::kAnswering : State::kAdmitting);
}

// Moves what has come of the body to the request.
void HttpConnection::read_body() {
  Request& request = exchange_->request;
  std::size_t bytes = in_.size();
  if (framing_ == http::BodyFraming::kChunked) {
    const auto decoded = chunks_.decode(in_);
    if (decoded.step == http::ChunkedDecoder::Step::kBad) {
      return write(completed(bad_request("the body's chunks are none")));
    }
    bytes = decoded.data_bytes;
    whole_ = decoded.step == http::ChunkedDecoder::Step::kEnd;
  } else {
    bytes = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, body_left_));
    body_left_ -= bytes;
    whole_ = body_left_ == 0;
  }
  const std::size_t room = kBodyBytesMax - request.body.size();
  request.body.append(in_, 0, std::min(bytes, room));
  request.body_too_large =
      bytes > room || body_left_ > kBodyBytesMax - request.body.size();
  in_.clear();
  if (request.body_too_large && state_ == State::kBody) {
    hand_over(State::kAnswering);
  }
}

void HttpConnection::hand_over(State state) {
  state_ = state;
  handed_over_ms_ = now_ms_;
  io_.want(0);
  owner_.hand_over(std::move(exchange_), state == State::kAnswering);
}

void HttpConnection::take(std::shared_ptr<Exchange> exchange,
                          std::int64_t now_ms) {
  now_ms_ = now_ms;
  exchange_ = std::move(exchange);
  if (exchange_->answer && exchange_->answer->follow && !to_head_) {
    return begin_following(*exchange_->answer);
  }
  if (exchange_->answer) return write(*exchange_->answer);
  state_ = State::kBody;
  // The client has not had this time.
  deadline_ms_ += now_ms - handed_over_ms_;
  if (wants_continue_) {
    // A handful of bytes into an empty buffer.
    static_cast<void>(::send(socket_.get(), kContinue.data(), kContinue.size(),
                             MSG_NOSIGNAL));
  }
  io_.want(EV_READ);
}

Answer HttpConnection::completed(Answer answer) {
  owner_.complete(answer);
  return answer;
}

void HttpConnection::write(const Answer& answer) {
  out_ = encode_answer(answer, to_head_);
  if (!owner_.may_wait(network_, out_.size())) {
    out_ = encode_answer(completed(busy()), to_head_);
  }
  in_.clear();
  exchange_.reset();
  expect(State::kWriting, HttpServer::kWriteMs);
  send();
}

void HttpConnection::send() {
  while (sent_ < out_.size()) {
    const ssize_t sent = ::send(socket_.get(), out_.data() + sent_,
                                out_.size() - sent_, MSG_NOSIGNAL);
    if (sent < 0 && !would_block()) return close();
    if (sent < 0) {
      const bool listens = state_ == State::kFollowing;
      return io_.want(listens ? EV_READ | EV_WRITE : EV_WRITE);
    }
    sent_ += static_cast<std::size_t>(sent);
    if (follows() && !is_ending()) expect(State::kFollowing, kHeartbeatMs);
  }
  if (state_ != State::kFollowing) return whole_ ? close() : linger();
  out_.clear();
  sent_ = 0;
  io_.want(EV_READ);
}

void HttpConnection::begin_following(const Answer& answer) {
  if (!owner_.may_follow(answer.follow->audience)) {
    return write(completed(busy()));
  }
  follow_ = *answer.follow;
  const std::uint64_t spread = id_ % kFollowSpreads;
  follows_until_ms_ = now_ms_ + kFollowMs +
                      static_cast<std::int64_t>(spread) * kFollowSpreadMs;
  out_ = encode_answer(answer, false);
  exchange_.reset();
  expect(State::kFollowing, kHeartbeatMs);
  send();
}

void HttpConnection::feed(const std::vector<Event>& events,
                          std::int64_t now_ms) {
  now_ms_ = now_ms;
  out_.erase(0, std::exchange(sent_, 0));
  const bool was_waiting = !out_.empty();
  for (const Event& event : events) {
    if (event.id <= follow_.last_id) continue;
    // Also of one that is ending: what the others wait for is asked after the least.
    follow_.last_id = event.id;
    if (is_ending() || event.audience != follow_.audience) continue;
    out_ += event.text;
    if (event.ends) follows_until_ms_ = now_ms;
  }
  if (out_.size() > kFeedBytesMax) return close();
  if (out_.empty()) return;
  // What waits already has its deadline: only what is taken moves that.
  if (!was_waiting) expect(State::kFollowing, kHeartbeatMs);
  send();
}

// Nothing is expected of it but that it goes.
void HttpConnection::on_follower(int events) {
  if ((events & EV_WRITE) != 0) send();
  if (state_ != State::kFollowing || (events & EV_READ) == 0) return;
  std::array<char, kPieceBytes> piece;
  const ssize_t got = ::recv(socket_.get(), piece.data(), piece.size(), 0);
  if (got == 0 || (got < 0 && !would_block())) close();
}

void HttpConnection::linger() {
  ::shutdown(socket_.get(), SHUT_WR);
  expect(State::kLingering, kLingerMs);
  io_.want(EV_READ);
}

void HttpConnection::drain() {
  std::array<char, kPieceBytes> piece;
  const ssize_t got = ::recv(socket_.get(), piece.data(), piece.size(), 0);
  if (got < 0 && would_block()) return;
  drained_ += got > 0 ? static_cast<std::size_t>(got) : kDrainBytesMax;
  if (drained_ >= kDrainBytesMax) close();
}

void HttpConnection::expect(State state, std::int64_t within_ms) {
  state_ = state;
  deadline_ms_ = now_ms_ + within_ms;
}

void HttpConnection::hurry(std::int64_t now_ms, bool is_last_call) {
  if (state_ == State::kFollowing) return close();
  if (!is_last_call || state_ != State::kHead || !in_.empty()) return;
  deadline_ms_ = std::min(deadline_ms_, now_ms + kLastCallMs);
}

void HttpConnection::close() {
  if (!socket_.valid()) return;
  io_.stop();
  socket_.reset();
  owner_.on_closed(*this);
}

void HttpConnection::look_at_deadline(std::int64_t now_ms) {
  now_ms_ = now_ms;
  const bool is_waited_for =
      state_ != State::kAdmitting && state_ != State::kAnswering;
  if (follows() && is_ending() && out_.empty()) return close();
  if (!is_waited_for || now_ms < deadline_ms_) return;
  if (state_ == State::kFollowing) {
    // What it has not taken for so long it does not take.
    if (!out_.empty()) return close();
    out_ = kHeartbeat;
    expect(State::kFollowing, kHeartbeatMs);
    return send();
  }
  const bool sends = !in_.empty() || state_ == State::kBody;
  const bool was_reading = state_ == State::kHead || state_ == State::kBody;
  if (!was_reading || !sends) return close();
  write(completed(refusal(408, "Request timeout")));
}

}  // namespace fealty::api
