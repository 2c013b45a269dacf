// A WebSocket: once the node has switched, bytes of either side go to the other
// as they are, and each side's end too.

#include "router/session.h"

namespace fealty::router {
namespace {

constexpr int kReadsPerTurn = 4;

}  // namespace

// The node answered 101: right only where a WebSocket was asked for, and is
// what it switches to.
void Session::begin_tunnel(const http::ResponseHead& head,
                           std::span<const char> rest) {
  if (!websocket_ || !head.to_websocket || packet_sent_ < packet_.size()) {
    fail(502, "The application switched to a protocol that was not asked for.");
    return;
  }
  http::ClientFraming framing;
  framing.to_websocket = true;
  char cookie[StickyCookie::kHeaderBytesMax];
  framing.more_fields = sticky_field(cookie);
  const std::size_t head_bytes =
      http::write_response_head(head, framing, context_.heading());
  praise_node();
  answered_ = answer_head_done_ = true;
  keep_alive_ = false;
  client_framing_ = http::ClientFraming::Body::kClose;
  Counters::add(context_.counters.answers[1]);
  status_ = 101;
  head_sent_bytes_ += head_bytes;
  Counters::add(context_.counters.tunnels);
  Counters::add(context_.counters.tunnels_open);
  state_ = State::kTunnel;
  const iovec parts[] = {
      {context_.head_scratch.get(), head_bytes},
      {const_cast<char*>(rest.data()), rest.size()}};
  if (!send_to_client(parts, 2)) return;
  if (noted_.has_block()) shrink_noted();
  head_.release();
  packet_.release();
  packet_sent_ = 0;
  upload_ = std::move(in_);  // what the client did not wait for
  flush_to_node();
}

void Session::tunnel_to_node() {
  for (int i = 0; i < kReadsPerTurn && upload_.empty() && !client_ended_; ++i) {
    const IoResult result = client_.read(context_.reading());
    if (result.would_block()) break;
    if (result.end()) {
      client_ended_ = true;
    } else if (!result.ok()) {
      cut_connection();
      return;
    } else {
      Counters::add(context_.counters.received_bytes, result.bytes);
      give_to_node(context_.reading().first(result.bytes));
      if (result.bytes < WorkerContext::kReadBytes) break;
    }
  }
  settle_tunnel();
}

void Session::tunnel_to_client() {
  for (int i = 0; i < kReadsPerTurn && out_.empty() && !node_ended_; ++i) {
    const IoResult result = connection_->stream.read(context_.reading());
    if (result.would_block()) break;
    if (result.end()) {
      node_ended_ = true;
    } else if (!result.ok()) {
      cut_connection();
      return;
    } else {
      node_->runtime->received_bytes.fetch_add(result.bytes,
                                               std::memory_order_relaxed);
      const iovec part{context_.read_scratch.get(), result.bytes};
      if (!send_to_client(&part, 1)) return;
      if (result.bytes < WorkerContext::kReadBytes) break;
    }
  }
  settle_tunnel();
}

// What the node does not take now is kept in upload_. A node that takes nothing
// any more may still have something to say: what is for it is thrown away.
void Session::give_to_node(std::span<const char> bytes) {
  if (upload_refused_) return;
  const IoResult result = connection_->stream.write(bytes);
  if (!result.ok() && !result.would_block()) {
    upload_refused_ = true;
    return;
  }
  node_->runtime->sent_bytes.fetch_add(result.bytes,
                                       std::memory_order_relaxed);
  if (result.bytes < bytes.size()) {
    upload_ = context_.buffers.acquire(BufferPool::kLarge);
    upload_.append(bytes.subspan(result.bytes));
  }
}

void Session::flush_to_node() {
  if (!upload_.empty()) {
    const IoResult result =
        connection_->stream.write({upload_.data(), upload_.size()});
    if (result.ok()) {
      node_->runtime->sent_bytes.fetch_add(result.bytes,
                                           std::memory_order_relaxed);
      upload_.consume(result.bytes);
    } else if (!result.would_block()) {
      upload_refused_ = true;
      upload_.clear();
    }
  }
  if (upload_.empty()) upload_.release();
  settle_tunnel();
}

// Hands on the ends that have come, once what was before them is through.
void Session::settle_tunnel() {
  const bool to_node_done = client_ended_ && upload_.empty();
  const bool to_client_done = node_ended_ && out_.empty();
  if (to_node_done && to_client_done) {
    answer_complete_ = true;
    close();
    return;
  }
  if (to_node_done && !node_shut_) {
    connection_->stream.shut_down_writing();
    node_shut_ = true;
  }
  if (to_client_done && !client_shut_) {
    client_.shut_down_writing();
    client_shut_ = true;
  }
  context_.node_deadline.arm(deadline_, coarse_monotonic_ms());
  watch_tunnel();
}

void Session::watch_tunnel() {
  int events = out_.empty() && !node_ended_ ? EV_READ : 0;
  if (!upload_.empty()) events |= EV_WRITE;
  connection_->io.want(events);
  watch_client();
}

}  // namespace fealty::router
