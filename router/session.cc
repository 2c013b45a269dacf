#include "router/session.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "router/error_page.h"
#include "router/route.h"
#include "wire/uwsgi_packet.h"

namespace fealty::router {
namespace {

constexpr std::string_view kEmptyLine = "\r\n";

}  // namespace

Session::Session(WorkerContext& context, SessionOwner& owner)
    : context_(context), owner_(owner) {
  client_io_.bind<&Session::on_client>(context.loop, this);
  deadline_.session = this;
}

Session::~Session() {
  if (state_ != State::kClosed) close();
}

Session& Session::of(Deadline& deadline) {
  return *static_cast<OwnedDeadline&>(deadline).session;
}

void Session::open(UniqueFd fd, const Address& peer,
                   ListenerPtr listener) {
  FEALTY_CHECK(state_ == State::kClosed);
  client_ = Stream(std::move(fd));
  listener_ = std::move(listener);
  plain_on_tls_ = few_first_bytes_ = vouched_ = vouched_client_ = false;
  set_client(peer);
  client_ended_ = ends_soon_ = false;
  scanner_.reset();
  Counters::add(context_.counters.accepted);
  Counters::add(context_.counters.active);
  client_io_.start(client_.fd(), EV_READ);
  if (!listener_->proxy_protocol && !listener_->speaks_uwsgi) {
    begin_requests();
    return;
  }
  peer_trusted_ = listener_->trusts(peer);
  if (listener_->speaks_uwsgi) {
    begin_packet();
  } else {
    begin_proxy_header();
  }
}

// Of an HTTP or HTTPS listener's connection.
void Session::begin_requests() {
  if (listener_->is_tls()) {
    begin_handshake();
    return;
  }
  state_ = State::kIdle;
  context_.head_deadline.arm(deadline_, coarse_monotonic_ms());
}

void Session::abort() {
  if (state_ != State::kClosed) cut_connection();
}

void Session::drain() {
  // What has arrived already is served: closing on it would reset it away.
  if (state_ == State::kProxyHeader && in_.empty()) read_proxy_header();
  if (state_ == State::kReadPacket && in_.empty()) read_packet();
  if (state_ == State::kIdle && in_.empty()) read_head();
  const bool waits = state_ == State::kProxyHeader ||
                     state_ == State::kReadPacket || state_ == State::kIdle;
  if (waits && in_.empty()) close();
}

void Session::end_soon() {
  ends_soon_ = true;
  // One that was just accepted has its first request under way.
  if (deadline_.queue() == &context_.keepalive_deadline) drain();
}

// ---------------------------------------------------------------- events

void Session::on_client(int events) {
  if (state_ == State::kHandshake) {
    shake_hands();
    return;
  }
  if ((events & EV_WRITE) != 0) {
    flush_output();
    if (state_ == State::kClosed) return;
  }
  if ((events & EV_READ) == 0) return;
  switch (state_) {
    case State::kProxyHeader:
      read_proxy_header();
      break;
    case State::kReadPacket:
      read_packet();
      break;
    case State::kIdle:
    case State::kReadHead:
      read_head();
      break;
    case State::kCollectBody:
      collect_body();
      break;
    case State::kConnect:
    case State::kRelay:
    case State::kFlush:
      if (discarding()) {
        discard_body();
      } else if (uploading() && state_ == State::kRelay) {
        pump_upload();
      } else {
        read_ahead();
      }
      break;
    case State::kTunnel:
      tunnel_to_node();
      break;
    case State::kLinger:
      drain_client();
      break;
    case State::kHandshake:
    case State::kClosed:
      break;
  }
  // What waits decrypted, the kernel says nothing of.
  if (client_.pending() && client_io_.watches(EV_READ)) {
    client_io_.feed(EV_READ);
  }
}

void Session::on_node(int events) {
  if (connecting_) {
    on_connected();
    return;
  }
  if (state_ == State::kTunnel) {
    if ((events & EV_WRITE) != 0) flush_to_node();
    if ((events & EV_READ) != 0 && state_ == State::kTunnel) tunnel_to_client();
    return;
  }
  const NodeConnection* const connection = connection_;
  if ((events & EV_WRITE) != 0) {
    if (packet_sent_ < packet_.size()) {
      send_more_packet();
    } else {
      pump_upload();
    }
    if (state_ != State::kRelay || connection_ != connection) return;
  }
  if ((events & EV_READ) != 0) read_answer();
}

void Session::on_deadline(const DeadlineQueue& queue) {
  if (&queue == &context_.retry_deadline ||
      &queue == &context_.hold_deadline) {
    connect();
  } else if (&queue == &context_.connect_deadline) {
    ++connect_timeouts_;
    pass_over_node(Fault::kSlow);
    connect();
  } else if (state_ == State::kTunnel && !answered_) {
    blame(*node_, Fault::kSlow);
    fail_raw(504, "The application did not answer in time (timeouts.node).");
  } else if (state_ == State::kTunnel) {
    cut_connection();
  } else if (&queue == &context_.node_deadline) {
    if (!answer_head_done_) blame(*node_, Fault::kSlow);
    fail(504, "The application did not answer in time (timeouts.node).");
  } else {
    on_client_timeout();
  }
}

// The client's deadlines: head, keep-alive, silence amid a request, linger.
void Session::on_client_timeout() {
  switch (state_) {
    case State::kReadPacket:
    case State::kReadHead:
      fail(408, "The request's head did not arrive in time (timeouts.head).");
      break;
    case State::kCollectBody:
      fail(408, "The request's body did not arrive in time (timeouts.client).");
      break;
    case State::kRelay:
      if (out_.empty() && !answered_) {
        fail(408,
             "The request's body did not arrive in time (timeouts.client).");
      } else {
        cut_connection();
      }
      break;
    case State::kFlush:
      cut_connection();
      break;
    case State::kHandshake:
      context_.tls_counters.count_failure(sni::Failure::kTimeout);
      close();
      break;
    case State::kIdle:
      // A request that has arrived is served, and sets a deadline of its own.
      if (in_.empty()) read_head();
      if (state_ == State::kIdle && !deadline_.armed()) close();
      break;
    default:
      close();
  }
}

// ------------------------------------------------------------ reading heads

void Session::read_head() {
  if (!in_.has_block()) in_ = context_.buffers.acquire(BufferPool::kMedium);
  if (in_.room().empty() && !grow_input()) {
    fail(431, "The request's head is too large (limits.head_bytes).");
    return;
  }
  const IoResult result = client_.read(in_.room());
  if (result.would_block()) return;
  if (!result.ok()) {
    close();
    return;
  }
  in_.filled(result.bytes);
  Counters::add(context_.counters.received_bytes, result.bytes);
  process_input();
}

// Makes room behind the bytes of an incomplete head. False: it has reached the
// largest block, which is beyond any limit on heads.
bool Session::grow_input() {
  in_.compact();
  if (!in_.room().empty()) return true;
  if (in_.capacity() >= BufferPool::kLarge) return false;
  Buffer larger = context_.buffers.acquire(BufferPool::kLarge);
  larger.append({in_.data(), in_.size()});
  in_ = std::move(larger);
  return true;
}

// Empty lines before a request are no error (RFC 9112 section 2.2), within
// reason. False: too many.
bool Session::skip_empty_lines() {
  constexpr int kMost = 8;
  for (int i = 0; i < kMost; ++i) {
    if (!std::string_view(in_.data(), in_.size()).starts_with(kEmptyLine)) {
      return true;
    }
    in_.consume(kEmptyLine.size());
  }
  return false;
}

// Every complete head in in_ that may be looked at now: pipelined requests are
// answered in order, one at a time.
void Session::process_input() {
  if (processing_) return;  // the loop below goes on with the next request
  processing_ = true;
  while ((state_ == State::kIdle || state_ == State::kReadHead) &&
         !in_.empty()) {
    if (state_ == State::kIdle) {
      if (!skip_empty_lines()) {
        fail(400, "Too many empty lines before the request.");
        break;
      }
      // Half an empty line: the other half will tell.
      if (in_.empty() || (in_.size() == 1 && *in_.data() == '\r')) break;
      state_ = State::kReadHead;
      scanner_.reset();
      context_.head_deadline.arm(deadline_, coarse_monotonic_ms());
    }
    const auto step = scanner_.scan({in_.data(), in_.size()});
    if (step == http::HeadScanner::Step::kBad) {
      fail(400, "Malformed request head.");
    } else if (step == http::HeadScanner::Step::kComplete &&
               scanner_.head_bytes() <= context_.options().limits.head_bytes) {
      begin_request({in_.data(), scanner_.head_bytes()});
    } else if (step == http::HeadScanner::Step::kComplete ||
               in_.size() > context_.options().limits.head_bytes) {
      fail(431, "The request's head is too large (limits.head_bytes).");
    } else {
      break;  // more must come
    }
  }
  processing_ = false;
  if (state_ == State::kClosed) return;
  if (in_.empty()) in_.release();
  const bool waits = state_ == State::kIdle || state_ == State::kReadHead;
  if (waits && client_ended_) {
    close();  // what is missing will not come any more
  } else {
    watch_client();
  }
}

// Into the worker's scratch: context_.request, and of a fastrouter's client
// context_.uwsgi_request.
http::HeadProblem Session::parse_request(std::string_view bytes) {
  if (!listener_->speaks_uwsgi) {
    return http::parse_request_head(bytes, context_.request);
  }
  return parse_uwsgi_request(
      bytes.substr(wire::kUwsgiHeaderBytes),
      {context_.names_scratch.get(), kHeaderNamesBytesMax},
      context_.uwsgi_request, context_.request);
}

// Whom the request in the scratch is for.
std::string_view Session::asked_for() const {
  return listener_->speaks_uwsgi ? context_.uwsgi_request.key
                                 : context_.request.authority;
}

// And its path, which the application sees decoded.
RoutePath Session::path_asked_for() const {
  const std::string_view path_info = context_.uwsgi_request.path_info;
  if (listener_->speaks_uwsgi && path_info.data() != nullptr) {
    return {path_info, true};
  }
  return {context_.request.path};
}

void Session::begin_request(std::string_view bytes) {
  request_id_ = context_.next_request_id++;
  began_ms_ = coarse_monotonic_ms();
  Counters::add(context_.counters.requests);
  http::RequestHead& head = context_.request;
  const http::HeadProblem problem = parse_request(bytes);
  // The views into the head stay good: nothing is read before it is encoded.
  in_.consume(bytes.size());
  if (problem.status != 0) {
    fail(problem.status, problem.reason);
    return;
  }
  const bool may_ask = !listener_->sealed || is_sealed();
  if (listener_->speaks_uwsgi && may_ask) believe();
  if (context_.settings->access_log != nullptr) note_request(head);
  if (!may_ask) {
    fail(403, "Only routers of this cluster are served here.");
    return;
  }
  keep_alive_ = head.keep_alive;
  // A fastrouter's client knows the answer's end by its length or by ours.
  client_minor_version_ =
      listener_->speaks_uwsgi ? std::uint8_t{0}
                              : static_cast<std::uint8_t>(head.minor_version);
  to_head_ = head.is_head();
  has_body_ = head.framing != http::BodyFraming::kNone;
  chunked_open_ = head.framing == http::BodyFraming::kChunked;
  if (head.framing == http::BodyFraming::kLength) {
    body_left_ = head.content_length;
  }
  http::Host host{};
  // HTTP/1.0 without a Host asks for the domain "", which nobody has.
  const std::string_view asked = asked_for();
  if (!asked.empty() && !http::normalise_host(asked, host)) {
    fail(400, "Malformed Host.");
    return;
  }
  if (!may_come(head, host)) return;
  const auto [pool, bad_path] =
      find_route(*context_.snapshot, context_.options().routes, host,
                 path_asked_for(),
                 vouched_ ? Listener::kHttpsPort : listener_->default_port(),
                 context_.heading());
  if (bad_path) {
    fail(400, "Malformed escape in the request's path.");
    return;
  }
  if (pool == nullptr) {
    fail(404, "No application answers for this domain.");
    return;
  }
  pool_ = subscription::PoolRef::share(pool);
  if (!may_reach(head, host, *pool)) return;
  if (body_left_ > context_.options().limits.body_bytes) {
    fail(413, "The request's body is too large (limits.body_bytes).");
    return;
  }
  if (pool->algorithm() == subscription::Algorithm::kSticky) {
    choice_.sticky = context_.settings->sticky.read(head, pool->key());
  }
  idempotent_ = head.is_idempotent();
  websocket_ = head.asks_for_websocket();
  if (!encode_first(bytes, head, host)) return;
  if (raw_) {
    body_left_ = 0;
    chunked_open_ = false;
    connect();
    return;
  }
  switch (head.framing) {
    case http::BodyFraming::kNone:
      connect();
      break;
    case http::BodyFraming::kLength:
      begin_length_body(head.expect_continue);
      break;
    case http::BodyFraming::kChunked:
      if (streams_chunks_) {
        begin_chunk_stream(head.expect_continue);
      } else {
        begin_chunked_body(head.expect_continue);
      }
      break;
  }
}

// ---------------------------------------------------- the client, otherwise

// Bytes that come while an earlier request is being answered: pipelined
// requests, or the end.
void Session::read_ahead() {
  if (!in_.has_block()) in_ = context_.buffers.acquire(BufferPool::kMedium);
  if (!in_.room().empty()) {
    const IoResult result = client_.read(in_.room());
    if (result.ok()) {
      in_.filled(result.bytes);
      Counters::add(context_.counters.received_bytes, result.bytes);
    } else if (result.end()) {
      client_ended_ = true;
    } else if (!result.would_block()) {
      close();
      return;
    }
  }
  if (client_ended_ && held_) {
    // It gave up, most likely, and others may need the place.
    fail(503, "No instance of the application is reachable.");
    return;
  }
  if (client_ended_ && in_.empty() && !answered_ && !body_unread()) {
    // Nobody waits for the answer (0007).
    close();
    return;
  }
  watch_client();
}

// What an application never saw is thrown away, so that the answer arrives.
void Session::drain_client() {
  const IoResult result = client_.read(context_.reading());
  const std::int64_t now_ms = coarse_monotonic_ms();
  if (result.would_block()) return;
  if (!result.ok() || now_ms >= linger_until_ms_) {
    close();
    return;
  }
  context_.linger_deadline.arm(deadline_, now_ms);
}

// The rest of a body whose application has answered without it. A client that
// sends all of it before it reads would otherwise wait for us, and we for it.
void Session::discard_body() {
  // Behind a chunked body there is no next request: its end is not looked for.
  const std::uint64_t left = streams_chunks_ ? UINT64_MAX : body_left_;
  std::size_t gone = 0;
  if (in_.empty()) {
    const auto most = static_cast<std::size_t>(
        std::min<std::uint64_t>(left, WorkerContext::kReadBytes));
    const IoResult result = client_.read(context_.reading().first(most));
    if (result.end()) client_ended_ = true;
    if (!result.ok() && !result.end() && !result.would_block()) {
      close();
      return;
    }
    Counters::add(context_.counters.received_bytes, result.bytes);
    gone = result.bytes;
  } else {
    gone = static_cast<std::size_t>(std::min<std::uint64_t>(left, in_.size()));
    in_.consume(gone);
  }
  if (!streams_chunks_) body_left_ -= gone;
  watch_client();
}

bool Session::send_to_client(const iovec* parts, int count) {
  std::size_t taken = 0;
  if (out_.empty()) {
    const IoResult result = client_.write(parts, count);
    if (!result.ok() && !result.would_block()) {
      close();
      return false;
    }
    taken = result.bytes;
    count_sent(taken);
  }
  for (int i = 0; i < count; ++i) {
    const auto* const bytes = static_cast<const char*>(parts[i].iov_base);
    const std::size_t skip = std::min(taken, parts[i].iov_len);
    taken -= skip;
    if (skip == parts[i].iov_len) continue;
    if (!out_.has_block()) out_ = context_.buffers.acquire(BufferPool::kLarge);
    const std::size_t rest = parts[i].iov_len - skip;
    // A block takes what one read brings, with its framing. Only a node that
    // sends interim answers by the thousand to a client that reads none gets
    // beyond that.
    if (out_.append({bytes + skip, rest}) < rest) {
      close();
      return false;
    }
  }
  return true;
}

void Session::flush_output() {
  if (out_.empty()) return;
  const IoResult result = client_.write({out_.data(), out_.size()});
  if (result.would_block()) return;
  if (!result.ok()) {
    close();
    return;
  }
  count_sent(result.bytes);
  out_.consume(result.bytes);
  if (!out_.empty()) {
    context_.client_deadline.arm(deadline_, coarse_monotonic_ms());
    return;
  }
  out_.release();
  if (state_ == State::kFlush) {
    finish_request();
    return;
  }
  if (state_ == State::kTunnel) {
    settle_tunnel();
    return;
  }
  if (state_ == State::kRelay) {
    arm_relay_deadline();
    watch_node();
  }
  watch_client();
}

// Answers with the router's own page, or, where the node's answer has begun
// already, ends it so that it cannot be taken for complete.
void Session::fail(int status, std::string_view reason) {
  if (answered_) {
    cut_answer();
    return;
  }
  if (request_id_ == 0) {
    request_id_ = context_.next_request_id++;
    began_ms_ = coarse_monotonic_ms();
  }
  if (status >= 500) log_failure(status, reason);
  release_node();
  end_hold();
  // The client's own mistakes end the connection: what follows on it cannot be
  // trusted to be a request.
  const bool clean = status == 404 || (status >= 502 && status <= 504);
  begin_own_answer(status, clean);
  Counters::add(context_.counters.own_errors);
  const std::size_t bytes = write_error_page(
      {status, reason, request_id_, keep_alive_, to_head_},
      context_.heading());
  send_own_answer(bytes);
}

void Session::begin_own_answer(int status, bool keep_alive) {
  keep_alive_ = keep_alive_ && keep_alive && !body_unread() &&
                !ends_after_this();
  answered_ = failed_ = true;
  Counters::add(context_.counters.answers[status / 100]);
  status_ = static_cast<std::uint16_t>(status);
  state_ = State::kFlush;
}

// What was written into heading().
void Session::send_own_answer(std::size_t bytes) {
  head_sent_bytes_ += http::find_head_end({context_.head_scratch.get(), bytes});
  const iovec part{context_.head_scratch.get(), bytes};
  if (!send_to_client(&part, 1)) return;
  if (out_.empty()) {
    finish_request();
  } else {
    context_.client_deadline.arm(deadline_, coarse_monotonic_ms());
    watch_client();
  }
}

void Session::log_failure(int status, std::string_view reason) {
  std::uint64_t suppressed = 0;
  if (status == 501 || status == 505 ||
      !context_.failure_log.allow(coarse_monotonic_ms(), &suppressed)) {
    return;
  }
  log::warning(
      "request {:016x} for {}: answered {}: {} node {}{}", request_id_,
      pool_ != nullptr ? pool_->key() : "-", status, reason,
      node_ != nullptr ? log::printable(node_->name()) : "-",
      suppressed > 0 ? fmt::format(" ({} more like it)", suppressed) : "");
}

// The whole answer was given to the socket, or to out_.
void Session::finish_answer() {
  answer_complete_ = true;
  if (may_keep_node()) {
    keep_node();
  } else {
    release_node();
  }
  if (out_.empty()) {
    finish_request();
    return;
  }
  state_ = State::kFlush;
  context_.client_deadline.arm(deadline_, coarse_monotonic_ms());
  watch_client();
}

void Session::finish_request() {
  const bool again = keep_alive_ && !body_unread() && !ends_after_this() &&
                     !(client_ended_ && in_.empty());
  forget_request();
  if (!again) {
    if (client_ended_) {
      close();
    } else {
      linger();
    }
    return;
  }
  state_ = State::kIdle;
  context_.keepalive_deadline.arm(deadline_, coarse_monotonic_ms());
  if (processing_) return;
  if (!in_.empty()) {
    process_input();
  } else {
    in_.release();
    watch_client();
  }
}

void Session::forget_request() {
  if (context_.settings->access_log != nullptr && request_id_ != 0) {
    log_request();
  }
  noted_.release();
  noted_apart_.clear();
  noted_bytes_ = {};
  sent_bytes_ = head_sent_bytes_ = 0;
  status_ = 0;
  keep_alive_ = to_head_ = has_body_ = false;
  chunked_open_ = failed_ = answered_ = false;
  client_minor_version_ = 1;
  idempotent_ = websocket_ = streams_chunks_ = raw_ = false;
  body_left_ = chunk_bytes_ = request_id_ = 0;
  body_decoder_ = {};
  store_.reset();
  head_.release();
  wire_ = Wire::kNone;
  packet_.release();
  packet_head_bytes_ = seal_bytes_ = packet_sent_ = 0;
  upload_.release();
  pool_.reset();
  again_ = last_node_ = nullptr;
  tried_.clear();
  choice_.sticky = 0;
  connect_until_ms_ = 0;
  end_hold();
  hold_since_ms_ = 0;
  backlog_full_ = fresh_only_ = heard_ = node_gone_ = spawning_ = false;
  node_ended_ = node_shut_ = client_shut_ = false;
  connect_timeouts_ = repeats_ = 0;
  upload_refused_ = upload_blocked_ = false;
  answer_head_.release();
  answer_head_done_ = answer_complete_ = node_keeps_ = surplus_ = false;
  answer_framing_ = http::AnswerFraming::kNone;
  client_framing_ = http::ClientFraming::Body::kAsIs;
  answer_left_ = 0;
  answer_decoder_ = {};
}

void Session::linger() {
  state_ = State::kLinger;
  in_.release();
  client_.shut_down_writing();
  const std::int64_t now_ms = coarse_monotonic_ms();
  linger_until_ms_ = now_ms + WorkerContext::kLingerMostMs;
  context_.linger_deadline.arm(deadline_, now_ms);
  watch_client();
}

// Ends the connection amid whatever it does. Where the end of the connection
// would be the end of the answer's body, the client gets a reset instead.
void Session::cut_connection() {
  if (answered_ && !answer_complete_ &&
      client_framing_ == http::ClientFraming::Body::kClose) {
    client_io_.stop();
    client_.reset();
  }
  close();
}

void Session::close() {
  if (state_ == State::kTunnel) {
    Counters::subtract(context_.counters.tunnels_open);
  }
  release_node();
  forget_request();
  client_io_.stop();
  client_.close();
  tls_.close();
  listener_.reset();
  client_certificate_.reset();
  deadline_.disarm();
  in_.release();
  out_.release();
  state_ = State::kClosed;
  Counters::subtract(context_.counters.active);
  context_.shared.connections.fetch_sub(1, std::memory_order_relaxed);
  owner_.on_session_closed(*this);
}

// Asks for exactly the events that can be used now. On the fast path this
// never changes, so that the kernel is not told anything.
void Session::watch_client() {
  int events = out_.empty() ? 0 : EV_WRITE;
  switch (state_) {
    case State::kClosed:
    case State::kHandshake:
    case State::kProxyHeader:
      return;
    case State::kTunnel:
      if (upload_.empty() && !client_ended_) events |= EV_READ;
      break;
    case State::kReadPacket:
    case State::kIdle:
    case State::kReadHead:
    case State::kCollectBody:
    case State::kLinger:
      events |= EV_READ;
      break;
    case State::kConnect:
    case State::kRelay:
    case State::kFlush: {
      const bool room = !in_.has_block() || !in_.room().empty();
      const bool takes = discarding() ? true
                         : uploading() && !held_
                             ? state_ == State::kRelay && !upload_blocked_ &&
                                   packet_sent_ == packet_.size()
                             : room;
      if (takes && !client_ended_) events |= EV_READ;
      break;
    }
  }
  client_io_.want(events);
  if ((events & EV_READ) != 0 && client_.pending()) client_io_.feed(EV_READ);
}

}  // namespace fealty::router
