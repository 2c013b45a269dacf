// The request's body: with the head, collected, or as the node takes it.

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "router/session.h"

namespace fealty::router {
namespace {

// Size line, CRLF, last chunk.
constexpr std::size_t kChunkFramingMost = 32;
static_assert(WorkerContext::kReadBytes + kChunkFramingMost <=
              BufferPool::kLarge);

// One chunk as it is written: nothing where there is nothing to say. Points
// into itself and the data.
struct ChunkParts {
  ChunkParts(std::span<const char> data, bool last) {
    if (!data.empty()) {
      char* end = std::to_chars(size_line, size_line + 16, data.size(), 16).ptr;
      *end++ = '\r';
      *end++ = '\n';
      add(size_line, static_cast<std::size_t>(end - size_line));
      add(data.data(), data.size());
      add("\r\n", 2);
    }
    if (last) add("0\r\n\r\n", 5);
  }
  ChunkParts(const ChunkParts&) = delete;
  ChunkParts& operator=(const ChunkParts&) = delete;
  void add(const char* bytes, std::size_t size) {
    parts[count++] = {const_cast<char*>(bytes), size};
  }

  char size_line[20];
  iovec parts[4];
  int count = 0;
};

}  // namespace

// ------------------------------------------------------------------- bodies

// What of the body has come already goes out together with the packet.
void Session::begin_length_body(bool expects_continue) {
  const auto here = static_cast<std::size_t>(
      std::min<std::uint64_t>(body_left_, in_.size()));
  const std::size_t taken = add_to_packet({in_.data(), here});
  in_.consume(taken);
  body_left_ -= taken;
  if (expects_continue && taken == 0) send_continue();
  if (state_ != State::kClosed) connect();
}

// Bytes of the body are proof that the client waits for none of this.
void Session::send_continue() {
  constexpr char kContinue[] = "HTTP/1.1 100 Continue\r\n\r\n";
  head_sent_bytes_ += sizeof kContinue - 1;
  const iovec part{const_cast<char*>(kContinue), sizeof kContinue - 1};
  static_cast<void>(send_to_client(&part, 1));
}

// An HTTP node gets the chunks as they come, decoded and framed again. What is
// there already goes with the head.
void Session::begin_chunk_stream(bool expects_continue) {
  if (in_.empty()) {
    if (expects_continue) send_continue();
  } else if (!add_chunk_to_packet()) {
    return;
  }
  if (state_ != State::kClosed) connect();
}

// False: the body is malformed or too large (failed).
bool Session::add_chunk_to_packet() {
  if (packet_.size() + in_.size() + kChunkFramingMost > BufferPool::kLarge) {
    return true;  // it follows the head
  }
  http::ChunkedDecoder::Result decoded;
  if (!decode_body(in_.size(), decoded, chunk_bytes_)) return false;
  chunk_bytes_ += decoded.data_bytes;
  ChunkParts chunk({in_.data(), decoded.data_bytes}, !chunked_open_);
  for (int i = 0; i < chunk.count; ++i) {
    const auto& [at, bytes] = chunk.parts[i];
    add_to_packet({static_cast<const char*>(at), bytes});
  }
  in_.consume(decoded.consumed);
  return true;
}

void Session::begin_chunked_body(bool expects_continue) {
  state_ = State::kCollectBody;
  store_ = std::make_unique<BodyStore>(
      context_.options().temp_dir, context_.options().limits.body_memory_bytes);
  context_.client_deadline.arm(deadline_, coarse_monotonic_ms());
  if (!in_.empty()) {
    decode_collected();
  } else if (expects_continue) {
    send_continue();
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

// Decodes what in_ has, at most `most` of it, in place; `before` bytes of the
// body came earlier. False: failed.
bool Session::decode_body(std::size_t most,
                          http::ChunkedDecoder::Result& decoded,
                          std::uint64_t before) {
  decoded = body_decoder_.decode({in_.data(), std::min(in_.size(), most)});
  if (decoded.step == http::ChunkedDecoder::Step::kBad) {
    fail(400, "Malformed chunked body.");
    return false;
  }
  if (decoded.data_bytes > context_.options().limits.body_bytes - before) {
    fail(413, "The request's body is too large (limits.body_bytes).");
    return false;
  }
  chunked_open_ = decoded.step == http::ChunkedDecoder::Step::kMore;
  return true;
}

void Session::decode_collected() {
  http::ChunkedDecoder::Result decoded;
  if (!decode_body(in_.size(), decoded, store_->size())) return;
  if (!store_->append({in_.data(), decoded.data_bytes})) {
    log::error("cannot keep a request's body in {}: {}; see temp_dir",
               context_.options().temp_dir, std::strerror(errno));
    fail(500, "The request's body could not be stored.");
    return;
  }
  in_.consume(decoded.consumed);
  if (chunked_open_) {
    context_.client_deadline.arm(deadline_, coarse_monotonic_ms());
    return;
  }
  if (wire_ == Wire::kUwsgi) add_stored_length();
  connect();
}

// ------------------------------------------------------------------- upload

bool Session::upload_pending() const {
  if (upload_refused_) return false;
  return !upload_.empty() || body_streams() ||
         (store_ != nullptr && !store_->all_written());
}

// Moves the body from the client (or the store) to the node until one of them
// has had enough; a few blocks a turn, so that others get theirs.
void Session::pump_upload() {
  constexpr int kBlocksPerTurn = 8;
  upload_blocked_ = false;
  for (int i = 0; i < kBlocksPerTurn && upload_pending(); ++i) {
    if (!push_upload()) break;
    if (!body_streams()) continue;
    if (!(streams_chunks_ ? pull_chunks() : pull_upload())) break;
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
  const IoResult result = connection_->stream.write(bytes);
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
  const IoResult result = store_->write_to(connection_->stream);
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

// The same of a chunked body.
bool Session::pull_chunks() {
  if (in_.empty() && !read_chunks()) return false;
  http::ChunkedDecoder::Result decoded;
  if (!decode_body(WorkerContext::kReadBytes, decoded, chunk_bytes_)) {
    return false;
  }
  chunk_bytes_ += decoded.data_bytes;
  const bool all =
      write_chunk({in_.data(), decoded.data_bytes}, !chunked_open_);
  in_.consume(decoded.consumed);
  if (in_.empty()) in_.release();
  return all;
}

// False: nothing has come, or the client is gone (closed).
bool Session::read_chunks() {
  if (!in_.has_block()) in_ = context_.buffers.acquire(BufferPool::kLarge);
  const auto room = in_.room();
  const IoResult result = client_.read(
      room.first(std::min(room.size(), WorkerContext::kReadBytes)));
  if (result.ok()) {
    in_.filled(result.bytes);
    Counters::add(context_.counters.received_bytes, result.bytes);
    return true;
  }
  in_.release();
  if (!result.would_block()) close();
  return false;
}

// As write_upload, but what the node does not take is kept here.
bool Session::write_chunk(std::span<const char> data, bool last) {
  ChunkParts chunk(data, last);
  if (chunk.count == 0) return true;
  const IoResult result = connection_->stream.write(chunk.parts, chunk.count);
  node_->runtime->sent_bytes.fetch_add(result.bytes,
                                       std::memory_order_relaxed);
  if (!result.ok() && !result.would_block()) {
    upload_refused_ = true;
    return false;
  }
  std::size_t taken = result.bytes;
  for (int i = 0; i < chunk.count; ++i) {
    const auto& [at, bytes] = chunk.parts[i];
    const std::size_t skip = std::min(taken, bytes);
    taken -= skip;
    if (skip == bytes) continue;
    if (!upload_.has_block()) {
      upload_ = context_.buffers.acquire(BufferPool::kLarge);
    }
    upload_.append({static_cast<const char*>(at) + skip, bytes - skip});
  }
  upload_blocked_ = !upload_.empty();
  return !upload_blocked_;
}

}  // namespace fealty::router
