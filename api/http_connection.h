#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/answer.h"
#include "api/events.h"
#include "api/http_request.h"
#include "api/request.h"
#include "base/fd.h"
#include "base/loop.h"
#include "http/chunked.h"
#include "http/head_scanner.h"

namespace fealty::api {

// A request on its way to the threads and back, with what it is answered.
struct Exchange {
  std::uint64_t connection = 0;
  Request request;
  std::optional<Answer> answer = {};
};

class HttpConnection;

// What a connection asks of its listener.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  // What every answer has, for one that is given here.
  virtual void complete(Answer& answer) = 0;
  // Whether another request of this network may be taken.
  [[nodiscard]] virtual bool may_enter(const std::string& network) = 0;
  // To the threads. With `whole` it comes back with an answer; else it does where
  // it is refused before its body.
  virtual void hand_over(std::shared_ptr<Exchange> exchange, bool whole) = 0;
  // Whether an answer of so many bytes may wait until it is taken.
  [[nodiscard]] virtual bool may_wait(const std::string& network,
                                      std::size_t bytes) = 0;
  // Whether one more connection may follow events for these.
  [[nodiscard]] virtual bool may_follow(const Audience& audience) = 0;
  // It has ended; its owner keeps it until the turn of the loop is over.
  virtual void on_closed(HttpConnection& connection) = 0;
};

// One connection, one request. A machine of these states, on the listener's loop:
//
//   kHead ──▶ kAnswering ──▶ kWriting ──▶ closed
//     │           ▲              ▲  └▶ kLingering ──▶ closed
//     └▶ kAdmitting ──▶ kBody ───┘  kFollowing ──▶ closed (after kAnswering)
//
// kAdmitting: the head is there, its body is not; who asks is looked at first.
// kLingering: answered before all was read; a client that is still sending would
// lose the answer to a reset. kFollowing: events are written as they come, and a
// comment where none has for kHeartbeatMs; who does not take them is cut, and comes
// back with the id of its last.
class HttpConnection {
 public:
  HttpConnection(ConnectionOwner& owner, Loop& loop, std::uint64_t id,
                 UniqueFd socket, Peer peer, std::int64_t now_ms);
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  // What was handed over comes back.
  void take(std::shared_ptr<Exchange> exchange, std::int64_t now_ms);
  // May close it.
  void look_at_deadline(std::int64_t now_ms);
  // kFollowing: those of the events that are for it, and that it does not have.
  void feed(const std::vector<Event>& events, std::int64_t now_ms);
  [[nodiscard]] bool follows() const { return state_ == State::kFollowing; }
  // Whom for, and what it has.
  // It gets nothing new, and is closed once it has what waits.
  [[nodiscard]] bool is_ending() const { return now_ms_ >= follows_until_ms_; }
  [[nodiscard]] const Follow& following() const { return follow_; }
  // Bytes that are kept until they are taken.
  [[nodiscard]] std::size_t waiting() const { return out_.size(); }
  // The end is near: who follows is let go, and on the last call, where no byte of a
  // request has come yet, none is waited for much longer.
  void hurry(std::int64_t now_ms, bool is_last_call);
  [[nodiscard]] std::uint64_t id() const { return id_; }
  [[nodiscard]] const std::string& network() const { return network_; }

 private:
  enum class State : std::uint8_t {
    kHead, kAdmitting, kBody, kAnswering, kWriting, kLingering,
    kFollowing,
  };

  void on_io(int events);
  void receive();
  void read_head();
  void read_body();
  void hand_over(State state);
  [[nodiscard]] Answer completed(Answer answer);
  void write(const Answer& answer);
  void send();
  void begin_following(const Answer& answer);
  void on_follower(int events);
  void linger();
  void drain();
  void expect(State state, std::int64_t within_ms);
  void close();

  ConnectionOwner& owner_;
  const std::uint64_t id_;
  UniqueFd socket_;
  const Peer peer_;
  State state_ = State::kHead;
  std::int64_t deadline_ms_;
  std::int64_t now_ms_;                // the loop's, when it was last told
  std::int64_t handed_over_ms_ = 0;
  IoWatcher io_;
  std::string in_;                     // the head; then what is left of the body
  http::HeadScanner scanner_;
  http::ChunkedDecoder chunks_;
  http::BodyFraming framing_ = http::BodyFraming::kNone;
  std::uint64_t body_left_ = 0;        // kLength
  bool whole_ = false;                 // all of the request was read
  bool to_head_ = false;
  bool wants_continue_ = false;
  std::shared_ptr<Exchange> exchange_;
  std::string network_;                // "": it is not counted
  std::string out_;
  std::size_t sent_ = 0;
  std::size_t drained_ = 0;
  Follow follow_;                      // kFollowing
  std::int64_t follows_until_ms_ = 0;
};

}  // namespace fealty::api
