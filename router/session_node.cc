// The way to the node: the retry loop of Connect, and what may be repeated.

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "router/node_connect.h"
#include "router/node_uwsgi.h"
#include "router/session.h"
#include "wire/uwsgi_packet.h"

namespace fealty::router {
namespace {

constexpr std::string_view kEndedWithoutAnswer =
    "The application closed the connection without an answer.";

}  // namespace

// The only retry loop: over the nodes of the pool, as long as no harm can come
// of asking another.
void Session::connect() {
  state_ = State::kConnect;
  const std::int64_t now_ms = coarse_monotonic_ms();
  if (connect_until_ms_ == 0) {
    connect_until_ms_ = now_ms + context_.options().timeouts.connect_ms;
  }
  while (!tried_.full() && connect_timeouts_ < kConnectTimeoutsMost) {
    const subscription::Node* node = std::exchange(again_, nullptr);
    if (node == nullptr) {
      choice_.now_ms = now_ms;
      node = subscription::choose(*pool_, tried_, choice_);
    }
    if (node == nullptr) break;
    if (connect_to(*node) == Attempt::kTaken) return;
  }
  no_node_left();
}

void Session::no_node_left() {
  const std::int64_t now_ms = coarse_monotonic_ms();
  if (backlog_full_ && now_ms < connect_until_ms_) {
    // A busy application is no dead one: its clients queue.
    backlog_full_ = false;
    tried_.clear();
    context_.wait_for_backlog(deadline_);
    watch_client();
    return;
  }
  if (may_hold(now_ms)) {
    hold();
  } else if (repeats_ > 0) {
    fail(502, kEndedWithoutAnswer);
  } else if (backlog_full_ || connect_timeouts_ > 0) {
    fail(504,
         "The application did not take the connection in time "
         "(timeouts.connect).");
  } else if (spawning_) {
    fail(503, "The application did not start in time (timeouts.spawn).");
  } else {
    fail(503, "No instance of the application is reachable.");
  }
}

Session::Attempt Session::connect_to(const subscription::Node& node) {
  const Wire wire = wire_of(node);
  if (wire_ != wire && head_.empty()) {
    // It came while the request, encoded for another protocol, was held.
    tried_.add(&node);
    return Attempt::kNext;
  }
  if (wire_ != wire && !encode_again(wire)) return Attempt::kTaken;  // failed
  if (wire == Wire::kHttp && may_reuse_connection()) {
    NodeConnection* const idle =
        context_.node_pool.take(*node.runtime, *this);
    if (idle != nullptr) {
      Counters::add(context_.counters.node_reused);
      reused_ = true;
      take_node(node, *idle);
      return send_packet();
    }
  }
  return open_connection(node);
}

Session::Attempt Session::open_connection(const subscription::Node& node) {
  const Address address = node.address();
  UniqueFd fd = make_socket(address.family());
  tried_.add(&node);
  if (!fd.valid()) return Attempt::kNext;
  if (address.is_ip()) {
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  const int error = connect_node(fd.get(), address,
                                 context_.options().node_path_prefixes);
  if (error == EAGAIN) {  // Unix: the node's backlog is full
    backlog_full_ = true;
    return Attempt::kNext;
  }
  if (error != 0 && error != EINPROGRESS) {
    blame(node, Fault::kUnreachable);
    return Attempt::kNext;
  }
  Counters::add(context_.counters.node_opened);
  take_node(node, *context_.node_pool.open(std::move(fd), *this));
  connecting_ = error == EINPROGRESS;
  return send_packet();
}

// Where the process has run out of descriptors, those that idle give way.
UniqueFd Session::make_socket(int family) {
  constexpr int kType = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  UniqueFd fd(::socket(family, kType, 0));
  if (!fd.valid() && context_.node_pool.drop_oldest()) {
    fd.reset(::socket(family, kType, 0));
  }
  std::uint64_t suppressed = 0;
  if (!fd.valid() &&
      context_.failure_log.allow(coarse_monotonic_ms(), &suppressed)) {
    log::error("cannot make a socket to a node: {}", std::strerror(errno));
  }
  return fd;
}

void Session::take_node(const subscription::Node& node,
                        NodeConnection& connection) {
  node_ = last_node_ = &node;
  node_->runtime->in_flight.fetch_add(1, std::memory_order_relaxed);
  connection_ = &connection;
}

// A TCP connection that is under way. Its first bytes were tried already: on
// the same host it often stands by then.
Session::Attempt Session::wait_for_connection() {
  if (!connection_->io.start(connection_->stream.fd(), EV_WRITE)) {
    pass_over_node(Fault::kNone);
    return Attempt::kNext;
  }
  context_.connect_deadline.arm(deadline_, coarse_monotonic_ms());
  watch_client();
  return Attempt::kTaken;
}

void Session::on_connected() {
  int error = 0;
  socklen_t bytes = sizeof error;
  ::getsockopt(connection_->stream.fd(), SOL_SOCKET, SO_ERROR, &error, &bytes);
  connecting_ = false;
  if (error != 0) {
    pass_over_node(Fault::kUnreachable);
  } else if (send_packet() == Attempt::kTaken) {
    return;
  }
  connect();
}

// The first bytes for the node, on a connection that has just come about or
// was kept.
Session::Attempt Session::send_packet() {
  if (wire_ == Wire::kUwsgi) {
    set_modifiers(packet_.data(),
                  is_raw(*node_) ? wire::kModifierRequest : node_->modifier1,
                  node_->modifier2);
    seal_packet();
  }
  const IoResult result =
      connection_->stream.write({packet_.data(), packet_.size()});
  if (!result.ok() && !result.would_block()) {
    pass_over_node(Fault::kUnreachable);
    return Attempt::kNext;
  }
  if (connecting_ && result.would_block()) return wait_for_connection();
  connecting_ = false;
  state_ = State::kRelay;
  end_hold();
  packet_sent_ = result.bytes;
  subscription::NodeRuntime& runtime = *node_->runtime;
  runtime.requests.fetch_add(1, std::memory_order_relaxed);
  runtime.sent_bytes.fetch_add(result.bytes, std::memory_order_relaxed);
  pool_->count_hit();
  const bool whole = packet_sent_ == packet_.size();
  if (!connection_->io.active() &&
      !connection_->io.start(connection_->stream.fd(),
                             whole ? EV_READ : EV_READ | EV_WRITE)) {
    fail(503, "The router has no room for another connection.");
    return Attempt::kTaken;
  }
  if (raw_) {
    begin_raw_tunnel();
  } else if (whole && upload_pending()) {
    pump_upload();
  } else {
    arm_relay_deadline();
    watch_node();
    watch_client();
  }
  return Attempt::kTaken;
}

void Session::send_more_packet() {
  const IoResult result = connection_->stream.write(
      {packet_.data() + packet_sent_, packet_.size() - packet_sent_});
  if (result.would_block()) return;
  if (!result.ok()) {
    // It reads no more, but may have answered: reading tells.
    upload_refused_ = true;
    packet_sent_ = packet_.size();
    read_answer();
    return;
  }
  packet_sent_ += result.bytes;
  node_->runtime->sent_bytes.fetch_add(result.bytes,
                                       std::memory_order_relaxed);
  if (packet_sent_ == packet_.size()) pump_upload();
}

// So that it rests (NodeRuntime) and, where it may be gone altogether, its kept
// connections are not trusted.
void Session::blame(const subscription::Node& node, Fault fault) {
  const std::int64_t now_ms = coarse_monotonic_ms();
  bool rests = false;
  switch (fault) {
    case Fault::kNone:
      break;
    case Fault::kUnreachable:
      node_gone_ = true;
      rests = node.runtime->on_connect_failure(now_ms);
      context_.node_pool.drop(*node.runtime);
      break;
    case Fault::kSlow:
      rests = node.runtime->on_timeout(now_ms);
      break;
    case Fault::kLeft:
      rests = node.runtime->on_early_close(now_ms);
      break;
  }
  if (rests) say_rest(node, fault);
}

void Session::say_rest(const subscription::Node& node, Fault fault) {
  if (!may_say_rest()) return;
  const char* why = "it ended connections without an answer";
  if (fault == Fault::kUnreachable) why = "it cannot be reached";
  if (fault == Fault::kSlow) why = "it let the time pass";
  log::warning("node {} of {} rests: {}", log::printable(node.name()),
               pool_->key(), why);
}

// It has answered: whatever it did before is forgiven.
void Session::praise_node() {
  if (!node_->runtime->on_success() || !may_say_rest()) return;
  log::info("node {} of {} is back: it answered",
            log::printable(node_->name()), pool_->key());
}

// True while this second's lines are not used up; says once when they are.
bool Session::may_say_rest() {
  using Verdict = log::LineBudget::Verdict;
  const Verdict verdict = context_.rest_log.ask(coarse_monotonic_ms());
  if (verdict == Verdict::kSayMore) {
    log::info("more nodes rest or are back; not listed this second");
  }
  return verdict == Verdict::kWrite;
}

// The node in hand did not take the request. That a kept connection is dead
// says nothing about its node.
void Session::pass_over_node(Fault fault) {
  if (reused_) {
    Counters::add(context_.counters.node_stale);
    again_ = node_;
    fresh_only_ = true;
  } else {
    blame(*node_, fault);
  }
  release_node();
  packet_sent_ = 0;
  if (store_ != nullptr) store_->rewind();
  upload_refused_ = upload_blocked_ = heard_ = false;
}

// Only what may be asked again goes over a kept connection, and all of it must
// be at hand for that (docs/decisions/0006-kept-connections-to-nodes.md).
bool Session::may_reuse_connection() const {
  return idempotent_ && !fresh_only_ && !body_unread();
}

// The kept connection was dead: the same node, over a new one.
void Session::ask_again_afresh() {
  pass_over_node(Fault::kNone);
  connect();
}

// Whether a node that was sent a request cannot have begun it. The kernel
// resets a Unix socket only where bytes were left unread: a request without a
// body was then not read to its end. With a body that is not known, since the
// head may have been read. Over TCP a reset proves nothing: whoever read it all
// can send one (docs/decisions/0005-when-a-request-is-repeated.md).
bool Session::left_unread(int error) const {
  return error == ECONNRESET && !has_body_ && !answered_ &&
         node_->address().is_unix();
}

// An error in place of the first byte of an answer.
void Session::on_node_lost(int error) {
  if (reused_ || !left_unread(error)) {
    on_node_ended();
    return;
  }
  Counters::add(context_.counters.retries);
  pass_over_node(Fault::kUnreachable);
  connect();
}

// A node that may have read the request and is gone, killed perhaps: another
// may have it where asking twice does no harm. Only a few do, with the one
// whose kept connection was dead: a request that kills its application must not
// visit them all.
bool Session::may_repeat() const {
  return idempotent_ && !has_body_ && !answered_ &&
         repeats_ + (fresh_only_ ? 1 : 0) < kRepeatsMost;
}

// The end before the answer's head was whole, of a node that may have read the
// request.
void Session::on_node_ended() {
  if (reused_ && !heard_) {
    ask_again_afresh();
  } else if (heard_ || !may_repeat()) {
    blame(*node_, Fault::kLeft);
    fail(502, kEndedWithoutAnswer);
  } else {
    ++repeats_;
    node_gone_ = true;  // it may have been killed, and come back
    Counters::add(context_.counters.retries);
    pass_over_node(Fault::kLeft);
    connect();
  }
}

void Session::release_node() {
  if (node_ == nullptr) return;
  node_->runtime->in_flight.fetch_sub(1, std::memory_order_relaxed);
  node_ = nullptr;
  context_.node_pool.close(*std::exchange(connection_, nullptr));
  connecting_ = reused_ = false;
}

// Nothing of this request or its answer is left in the connection.
bool Session::may_keep_node() const {
  return node_keeps_ && !surplus_ && packet_sent_ == packet_.size() &&
         !upload_refused_ && !upload_pending() && !context_.draining;
}

void Session::keep_node() {
  node_->runtime->in_flight.fetch_sub(1, std::memory_order_relaxed);
  const subscription::Node& node = *std::exchange(node_, nullptr);
  context_.node_pool.keep(*std::exchange(connection_, nullptr), *node.runtime,
                          coarse_monotonic_ms());
  reused_ = false;
}

void Session::watch_node() {
  if (connection_ == nullptr) return;
  int events = out_.empty() ? EV_READ : 0;
  if (packet_sent_ < packet_.size() || upload_blocked_) events |= EV_WRITE;
  connection_->io.want(events);
}

}  // namespace fealty::router
