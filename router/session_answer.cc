// The way back: the node's head, its body in whatever framing the client can
// take, and what to do where the answer ends early.

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "router/session.h"

namespace fealty::router {
namespace {

using http::AnswerFraming;
using Body = http::ClientFraming::Body;

// A node's head, with what the rewritten one may be longer, fits a large
// block.
constexpr std::size_t kAnswerHeadBytesMax = 64 * 1024;

constexpr char kLineEnd[] = "\r\n";
constexpr char kLastChunk[] = "0\r\n\r\n";

iovec part_of(const char* bytes, std::size_t count) {
  return {const_cast<char*>(bytes), count};
}

// How the client learns where the body ends.
Body body_for_client(AnswerFraming framing, int client_minor_version) {
  switch (framing) {
    case AnswerFraming::kNone:
    case AnswerFraming::kLength:
      return Body::kAsIs;
    case AnswerFraming::kChunked:
    case AnswerFraming::kClose:
      break;
  }
  return client_minor_version == 0 ? Body::kClose : Body::kChunked;
}

}  // namespace

void Session::read_answer() {
  constexpr int kReadsPerTurn = 4;
  for (int i = 0; i < kReadsPerTurn && out_.empty(); ++i) {
    const IoResult result = connection_->stream.read(
        context_.reading().first(WorkerContext::kReadBytes -
                                 answer_head_.size()));
    if (result.would_block()) break;
    if (result.end()) {
      on_answer_end();
      return;
    }
    if (!result.ok()) {
      on_answer_broken(result.error);
      return;
    }
    node_->runtime->received_bytes.fetch_add(result.bytes,
                                             std::memory_order_relaxed);
    on_answer_bytes(context_.reading().first(result.bytes));
    if (state_ != State::kRelay || answer_complete_) return;
    if (result.bytes < WorkerContext::kReadBytes) break;
  }
  arm_relay_deadline();
  watch_node();
  watch_client();
}

void Session::on_answer_bytes(std::span<char> bytes) {
  heard_ = true;
  if (answer_head_done_) {
    relay_body({}, bytes);
    return;
  }
  Buffer assembled;
  if (!answer_head_.empty()) {
    answer_head_.append(bytes);
    assembled = std::move(answer_head_);
    bytes = {assembled.data(), assembled.size()};
  }
  while (true) {
    const std::size_t head_bytes =
        http::find_head_end({bytes.data(), bytes.size()});
    if (head_bytes == 0) {
      keep_incomplete_head(bytes);
      return;
    }
    const std::span<char> rest = bytes.subspan(head_bytes);
    if (on_answer_head({bytes.data(), head_bytes}, rest)) return;
    bytes = rest;
  }
}

void Session::keep_incomplete_head(std::span<char> bytes) {
  if (bytes.size() >= kAnswerHeadBytesMax) {
    fail(502, "The application's answer has too large a head.");
    return;
  }
  if (bytes.empty()) return;
  answer_head_ = context_.buffers.acquire(BufferPool::kLarge);
  answer_head_.append(bytes);
}

bool Session::on_answer_head(std::string_view bytes, std::span<char> rest) {
  http::ResponseHead head;
  if (!http::parse_response_head(bytes, to_head_, head)) {
    if (reused_ && !answered_) {  // left over from the answer before
      ask_again_afresh();
      return true;
    }
    fail(502, "The application's answer is not valid HTTP.");
    return true;
  }
  http::ClientFraming framing;
  framing.client_minor_version = client_minor_version_;
  if (head.status == 101) {
    begin_tunnel(head, rest);
    return true;
  }
  if (head.interim()) {
    // 100 was the router's to say; the rest is for clients that know it.
    if (head.status == 100 || client_minor_version_ == 0) return false;
    const std::size_t interim_bytes =
        http::write_response_head(head, framing, context_.heading());
    head_sent_bytes_ += interim_bytes;
    const iovec part = part_of(context_.head_scratch.get(), interim_bytes);
    return !send_to_client(&part, 1);
  }
  // What an idle connection is told when it ends, and we were faster (RFC 9110
  // section 15.5.9).
  if (head.status == 408 && reused_) {
    ask_again_afresh();
    return true;
  }
  praise_node();
  node_keeps_ = wire_ == Wire::kHttp && head.keep_alive &&
                head.framing != AnswerFraming::kClose;
  framing.body = body_for_client(head.framing, client_minor_version_);
  // An answer ahead of the body's end may mean that the rest is never read.
  keep_alive_ = keep_alive_ && framing.body != Body::kClose &&
                !body_unread() && !ends_after_this();
  framing.keep_alive = keep_alive_;
  char cookie[StickyCookie::kHeaderBytesMax];
  framing.more_fields = sticky_field(cookie);
  const std::size_t head_bytes =
      http::write_response_head(head, framing, context_.heading());
  if (head_bytes == 0) {
    fail(502, "The application's answer has too large a head.");
    return true;
  }
  answer_head_done_ = true;
  answer_framing_ = head.framing;
  answer_left_ = head.content_length;
  client_framing_ = framing.body;
  Counters::add(context_.counters.answers[std::min(head.status / 100, 5)]);
  status_ = static_cast<std::uint16_t>(head.status);
  head_sent_bytes_ += head_bytes;
  relay_body({context_.head_scratch.get(), head_bytes}, rest);
  return true;
}

// What makes the client come back to the node that answered; "" where it would
// anyway, or the pool's algorithm is another.
std::string_view Session::sticky_field(std::span<char> out) const {
  if (pool_->algorithm() != subscription::Algorithm::kSticky) return {};
  const std::uint64_t token = subscription::sticky_token(*node_);
  if (token == choice_.sticky) return {};
  const std::size_t bytes =
      context_.settings->sticky.write(token, pool_->key(), came_securely(),
                                       out);
  return {out.data(), bytes};
}

// Passes bytes of the body on in the client's framing, with the head before
// them where it has just come, in one write.
void Session::relay_body(std::span<const char> head, std::span<char> body) {
  std::size_t data_bytes = body.size();
  bool last = false;
  switch (answer_framing_) {
    case AnswerFraming::kNone:
      data_bytes = 0;
      last = true;
      surplus_ = !body.empty();
      break;
    case AnswerFraming::kLength:
      data_bytes = static_cast<std::size_t>(
          std::min<std::uint64_t>(answer_left_, body.size()));
      answer_left_ -= data_bytes;
      last = answer_left_ == 0;
      surplus_ = data_bytes < body.size();
      break;
    case AnswerFraming::kChunked: {
      const auto decoded = answer_decoder_.decode(body);
      data_bytes = decoded.data_bytes;
      last = decoded.step == http::ChunkedDecoder::Step::kEnd;
      surplus_ = decoded.consumed < body.size();
      if (decoded.step == http::ChunkedDecoder::Step::kBad) {
        fail(502, "The application's answer is not valid HTTP.");
        return;
      }
      break;
    }
    case AnswerFraming::kClose:
      break;
  }
  answered_ = true;
  iovec parts[5];
  int count = 0;
  char size_line[20];
  if (!head.empty()) parts[count++] = part_of(head.data(), head.size());
  const bool chunked = client_framing_ == Body::kChunked;
  if (data_bytes > 0) {
    if (chunked) {
      char* end = std::to_chars(size_line, size_line + 16, data_bytes, 16).ptr;
      *end++ = '\r';
      *end++ = '\n';
      parts[count++] =
          part_of(size_line, static_cast<std::size_t>(end - size_line));
    }
    parts[count++] = part_of(body.data(), data_bytes);
    if (chunked) parts[count++] = part_of(kLineEnd, 2);
  }
  if (last && chunked) parts[count++] = part_of(kLastChunk, 5);
  if (count > 0 && !send_to_client(parts, count)) return;
  if (last) finish_answer();
}

// The node closed regularly: the end of an answer that ends so, and too early
// for any other.
void Session::on_answer_end() {
  if (!answer_head_done_) {
    on_node_ended();
    return;
  }
  if (answer_framing_ != AnswerFraming::kClose) {
    cut_answer();
    return;
  }
  if (client_framing_ == Body::kChunked) {
    const iovec part = part_of(kLastChunk, 5);
    if (!send_to_client(&part, 1)) return;
  }
  finish_answer();
}

void Session::on_answer_broken(int error) {
  // An application that answers without reading the request's body resets the
  // connection when it closes: the kernel's doing, and as regular an end as
  // such an answer can have.
  const bool body_ignored = error == ECONNRESET && has_body_ &&
                            answer_framing_ == AnswerFraming::kClose;
  if (answer_head_done_ && body_ignored) {
    on_answer_end();
  } else if (answer_head_done_) {
    cut_answer();
  } else if (!heard_) {
    on_node_lost(error);
  } else {
    blame(*node_, Fault::kLeft);
    fail(502, "The application's answer broke off.");
  }
}

// The node broke off. The client must not take what it has for the whole
// answer: a length or the last chunk is missing, or the end is a reset.
void Session::cut_answer() {
  Counters::add(context_.counters.truncated);
  log_failure(502, "The answer was cut short.");
  cut_connection();
}

// The one that must move next is waited for.
void Session::arm_relay_deadline() {
  const bool client_takes = !out_.empty();
  const bool client_gives = uploading() && upload_.empty() &&
                            !upload_blocked_ &&
                            packet_sent_ == packet_.size();
  DeadlineQueue& queue = client_takes || client_gives
                             ? context_.client_deadline
                             : context_.node_deadline;
  queue.arm(deadline_, coarse_monotonic_ms());
}

}  // namespace fealty::router
