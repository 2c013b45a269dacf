// The way to the node: collecting a chunked body, the retry loop of Connect,
// and the rest of a body as the node takes it.

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "router/node_uwsgi.h"
#include "router/session.h"

namespace fealty::router {
namespace {

constexpr char kContinue[] = "HTTP/1.1 100 Continue\r\n\r\n";

iovec continue_part() {
  return {const_cast<char*>(kContinue), sizeof kContinue - 1};
}

}  // namespace

// ------------------------------------------------------------------- bodies

// What of the body has come already goes out together with the packet.
void Session::begin_length_body(bool expects_continue) {
  const auto here = static_cast<std::size_t>(
      std::min<std::uint64_t>(body_left_, in_.size()));
  if (here > packet_.room().size() &&
      packet_.size() + here <= BufferPool::kLarge) {
    Buffer larger = context_.buffers.acquire(packet_.size() + here);
    larger.append({packet_.data(), packet_.size()});
    packet_ = std::move(larger);
  }
  const std::size_t taken = packet_.append({in_.data(), here});
  in_.consume(taken);
  body_left_ -= taken;
  if (expects_continue && taken == 0) {
    const iovec part = continue_part();
    if (!send_to_client(&part, 1)) return;
  }
  connect();
}

void Session::begin_chunked_body(bool expects_continue) {
  state_ = State::kCollectBody;
  store_ = std::make_unique<BodyStore>(
      context_.options.temp_dir, context_.options.limits.body_memory_bytes);
  context_.client_deadline.arm(deadline_, coarse_monotonic_ms());
  if (!in_.empty()) {
    decode_collected();
  } else if (expects_continue) {
    const iovec part = continue_part();
    static_cast<void>(send_to_client(&part, 1));
  }
}

void Session::collect_body() {
  if (!in_.has_block()) in_ = context_.buffers.acquire(BufferPool::kLarge);
  const IoResult result = client_.read(in_.room());
  if (result.would_block()) return;
  if (!result.ok()) {
    close();
    return;
  }
  in_.filled(result.bytes);
  Counters::add(context_.counters.received_bytes, result.bytes);
  decode_collected();
  if (state_ == State::kCollectBody) watch_client();
}

void Session::decode_collected() {
  const auto decoded = body_decoder_.decode({in_.data(), in_.size()});
  const Limits& limits = context_.options.limits;
  if (decoded.data_bytes > limits.body_bytes - store_->size()) {
    fail(413, "The request's body is too large (limits.body_bytes).");
    return;
  }
  if (!store_->append({in_.data(), decoded.data_bytes})) {
    log::error("cannot keep a request's body in {}: {}; see temp_dir",
               context_.options.temp_dir, std::strerror(errno));
    fail(500, "The request's body could not be stored.");
    return;
  }
  in_.consume(decoded.consumed);
  switch (decoded.step) {
    case http::ChunkedDecoder::Step::kBad:
      fail(400, "Malformed chunked body.");
      return;
    case http::ChunkedDecoder::Step::kMore:
      context_.client_deadline.arm(deadline_, coarse_monotonic_ms());
      return;
    case http::ChunkedDecoder::Step::kEnd:
      break;
  }
  chunked_open_ = false;
  const std::size_t before = packet_.size();
  const std::size_t after = append_content_length(
      {packet_.data(), before + packet_.room().size()}, before,
      store_->size());
  packet_.filled(after - before);
  connect();
}

// ------------------------------------------------------------------ Connect

// The only retry loop: over the nodes of the pool, as long as none of them has
// read anything of the request.
void Session::connect() {
  state_ = State::kConnect;
  const std::int64_t now_ms = coarse_monotonic_ms();
  if (connect_until_ms_ == 0) {
    connect_until_ms_ = now_ms + context_.options.timeouts.connect_ms;
  }
  while (!tried_.full() && connect_timeouts_ < kConnectTimeoutsMost) {
    const subscription::Node* const node =
        subscription::choose(*pool_, tried_, now_ms);
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
  if (backlog_full_ || connect_timeouts_ > 0) {
    fail(504,
         "The application did not take the connection in time "
         "(timeouts.connect).");
  } else {
    fail(503, "No instance of the application is reachable.");
  }
}

Session::Attempt Session::connect_to(const subscription::Node& node) {
  const Address& address = node.address;
  UniqueFd fd(::socket(address.family(),
                       SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  tried_.add(&node);
  if (!fd.valid()) {
    std::uint64_t suppressed = 0;
    if (context_.failure_log.allow(coarse_monotonic_ms(), &suppressed)) {
      log::error("cannot make a socket to a node: {}", std::strerror(errno));
    }
    return Attempt::kNext;
  }
  if (address.is_ip()) {
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  const int done = ::connect(fd.get(), address.data(), address.length());
  const int error = done == 0 ? 0 : errno;
  if (error == EAGAIN) {  // Unix: the node's backlog is full
    backlog_full_ = true;
    return Attempt::kNext;
  }
  if (error != 0 && error != EINPROGRESS) {
    node.runtime->on_connect_failure(coarse_monotonic_ms());
    return Attempt::kNext;
  }
  node_ = &node;
  node_->runtime->in_flight.fetch_add(1, std::memory_order_relaxed);
  node_stream_ = Stream(std::move(fd));
  connecting_ = error == EINPROGRESS;
  return send_packet();
}

// A TCP connection that is under way. Its first bytes were tried already: on
// the same host it often stands by then.
Session::Attempt Session::wait_for_connection() {
  if (!node_io_.start(node_stream_.fd(), EV_WRITE)) {
    pass_over_node(false);
    return Attempt::kNext;
  }
  context_.connect_deadline.arm(deadline_, coarse_monotonic_ms());
  watch_client();
  return Attempt::kTaken;
}

void Session::on_connected() {
  int error = 0;
  socklen_t bytes = sizeof error;
  ::getsockopt(node_stream_.fd(), SOL_SOCKET, SO_ERROR, &error, &bytes);
  connecting_ = false;
  if (error != 0) {
    pass_over_node(true);
  } else if (send_packet() == Attempt::kTaken) {
    return;
  }
  connect();
}

// The first bytes for the node, on a connection that has just come about.
Session::Attempt Session::send_packet() {
  set_modifiers(packet_.data(), node_->modifier1, node_->modifier2);
  const IoResult result =
      node_stream_.write({packet_.data(), packet_.size()});
  if (!result.ok() && !result.would_block()) {
    pass_over_node(true);
    return Attempt::kNext;
  }
  if (connecting_ && result.would_block()) return wait_for_connection();
  connecting_ = false;
  state_ = State::kRelay;
  packet_sent_ = result.bytes;
  subscription::NodeRuntime& runtime = *node_->runtime;
  runtime.requests.fetch_add(1, std::memory_order_relaxed);
  runtime.sent_bytes.fetch_add(result.bytes, std::memory_order_relaxed);
  pool_->runtime->hits.fetch_add(1, std::memory_order_relaxed);
  const bool whole = packet_sent_ == packet_.size();
  if (!node_io_.active() &&
      !node_io_.start(node_stream_.fd(),
                      whole ? EV_READ : EV_READ | EV_WRITE)) {
    fail(503, "The router has no room for another connection.");
    return Attempt::kTaken;
  }
  if (whole && upload_pending()) {
    pump_upload();
  } else {
    arm_relay_deadline();
    watch_node();
    watch_client();
  }
  return Attempt::kTaken;
}

void Session::send_more_packet() {
  const IoResult result = node_stream_.write(
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

// The node in hand did not take the request.
void Session::pass_over_node(bool failed) {
  if (failed) node_->runtime->on_connect_failure(coarse_monotonic_ms());
  release_node();
  packet_sent_ = 0;
  if (store_ != nullptr) store_->rewind();
  upload_refused_ = upload_blocked_ = false;
}

// A reset before the first byte of an answer. The kernel resets a connection
// whose bytes were not all read, and ends it regularly where they were: a
// request without a body that was reset has not been read to its end, so no
// application has begun it. With a body that is not known, since the head may
// have been read (docs/decisions/0005-when-a-request-is-repeated.md).
bool Session::may_try_another() const { return !has_body_ && !answered_; }

void Session::on_node_lost() {
  if (!may_try_another()) {
    fail(502, "The application closed the connection without an answer.");
    return;
  }
  Counters::add(context_.counters.retries);
  pass_over_node(true);
  connect();
}

void Session::release_node() {
  if (node_ == nullptr) return;
  node_->runtime->in_flight.fetch_sub(1, std::memory_order_relaxed);
  node_ = nullptr;
  node_io_.stop();
  node_stream_.close();
  connecting_ = false;
}

void Session::watch_node() {
  if (!node_stream_.open()) return;
  int events = out_.empty() ? EV_READ : 0;
  if (packet_sent_ < packet_.size() || upload_blocked_) events |= EV_WRITE;
  node_io_.want(events);
}

// ------------------------------------------------------------------- upload

bool Session::upload_pending() const {
  if (upload_refused_) return false;
  return !upload_.empty() || body_left_ > 0 ||
         (store_ != nullptr && !store_->all_written());
}

// Moves the body from the client (or the store) to the node until one of them
// has had enough; a few blocks a turn, so that others get theirs.
void Session::pump_upload() {
  constexpr int kBlocksPerTurn = 8;
  upload_blocked_ = false;
  for (int i = 0; i < kBlocksPerTurn && upload_pending(); ++i) {
    if (!push_upload()) break;
    if (store_ == nullptr && body_left_ > 0 && !pull_upload()) break;
  }
  if (state_ != State::kRelay) return;
  // What is left of a store must be pushed; a client's bytes announce
  // themselves.
  if (store_ != nullptr && upload_pending()) upload_blocked_ = true;
  arm_relay_deadline();
  watch_client();
  watch_node();
}

// Writes to the node; what it does not take is not counted in `written`. A
// node that reads no more may still answer: that is waited for. False: stop.
bool Session::write_upload(std::span<const char> bytes, std::size_t& written) {
  const IoResult result = node_stream_.write(bytes);
  written = result.bytes;
  node_->runtime->sent_bytes.fetch_add(result.bytes,
                                       std::memory_order_relaxed);
  if (!result.ok() && !result.would_block()) {
    upload_refused_ = true;
    upload_.release();
    return false;
  }
  upload_blocked_ = written < bytes.size();
  return !upload_blocked_;
}

// What was read before goes first. False: the node takes no more now.
bool Session::push_upload() {
  if (!upload_.empty()) {
    std::size_t written = 0;
    const bool all = write_upload({upload_.data(), upload_.size()}, written);
    if (upload_refused_) return false;
    upload_.consume(written);
    if (upload_.empty()) upload_.release();
    return all;
  }
  if (store_ == nullptr || store_->all_written()) return true;
  const IoResult result = store_->write_to(node_stream_);
  node_->runtime->sent_bytes.fetch_add(result.bytes,
                                       std::memory_order_relaxed);
  if (result.ok()) return true;
  upload_blocked_ = result.would_block();
  upload_refused_ = !result.would_block();
  return false;
}

// The next block of the body from the client to the node. False: there is none
// now, or the node has had enough, or the client is gone (closed).
bool Session::pull_upload() {
  std::size_t written = 0;
  if (!in_.empty()) {
    const auto here = static_cast<std::size_t>(
        std::min<std::uint64_t>(body_left_, in_.size()));
    const bool all = write_upload({in_.data(), here}, written);
    if (upload_refused_) return false;
    in_.consume(written);
    if (in_.empty()) in_.release();
    body_left_ -= written;
    return all;
  }
  const auto most = static_cast<std::size_t>(
      std::min<std::uint64_t>(body_left_, WorkerContext::kReadBytes));
  const IoResult result = client_.read(context_.reading().first(most));
  if (result.would_block()) return false;
  if (!result.ok()) {
    close();  // half a request: nobody waits for its answer
    return false;
  }
  Counters::add(context_.counters.received_bytes, result.bytes);
  body_left_ -= result.bytes;
  const std::span<const char> bytes = context_.reading().first(result.bytes);
  const bool all = write_upload(bytes, written);
  if (!all && !upload_refused_) {
    upload_ = context_.buffers.acquire(BufferPool::kLarge);
    upload_.append(bytes.subspan(written));
  }
  return all;
}

}  // namespace fealty::router
