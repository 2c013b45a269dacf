// What the access log says of a request.

#include <ctime>

#include <algorithm>
#include <string_view>

#include "router/access_line.h"
#include "router/access_log.h"
#include "router/session.h"

namespace fealty::router {
namespace {

constexpr int kClientGone = 499;   // as nginx says it

std::int64_t unix_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

std::string_view value_of(const http::RequestHead& head,
                          std::string_view lower_name) {
  for (std::size_t i = 0; i < head.field_count; ++i) {
    const http::HeaderField& field = head.fields[i];
    if (http::equals_ignoring_case(field.name, lower_name)) return field.value;
  }
  return {};
}

}  // namespace

void Session::count_sent(std::size_t bytes) {
  Counters::add(context_.counters.sent_bytes, bytes);
  sent_bytes_ += bytes;
}

// The head's bytes are gone when the request is over.
void Session::note_request(const http::RequestHead& head) {
  static_assert(kTargetBytesMax + 4 * kFieldBytesMax <= BufferPool::kSmall + 512);
  noted_ = context_.buffers.acquire(BufferPool::kSmall);
  const auto note = [&](std::string_view text, std::size_t most) {
    return static_cast<std::uint16_t>(
        noted_.append(text.substr(0, most)));
  };
  noted_minor_version_ = static_cast<std::uint8_t>(head.minor_version);
  noted_bytes_.method = note(head.method, 64);
  noted_bytes_.target = note(head.target, kTargetBytesMax);
  noted_bytes_.host = note(head.authority, http::Host::kBytesMax + 8);
  noted_bytes_.referer = note(value_of(head, "referer"), kFieldBytesMax);
  noted_bytes_.user_agent = note(value_of(head, "user-agent"), kFieldBytesMax);
}

void Session::shrink_noted() {
  noted_apart_.assign(noted_.data(), noted_.size());
  noted_.release();
}

// Called when the request is over, and nothing of it is forgotten yet.
void Session::log_request() {
  std::string_view noted(noted_.data(), noted_.size());
  if (!noted_apart_.empty()) noted = noted_apart_;
  const auto next = [&](std::size_t bytes) {
    const std::string_view text = noted.substr(0, bytes);
    noted.remove_prefix(bytes);
    return text;
  };
  AccessEntry entry;
  entry.unix_ms = unix_ms();
  entry.remote_addr = {remote_addr_, remote_addr_bytes_};
  entry.remote_port = {remote_port_, remote_port_bytes_};
  entry.method = next(noted_bytes_.method);
  entry.target = next(noted_bytes_.target);
  entry.host = next(noted_bytes_.host);
  entry.referer = next(noted_bytes_.referer);
  entry.user_agent = next(noted_bytes_.user_agent);
  if (!entry.method.empty()) {
    entry.protocol = noted_minor_version_ == 0 ? "HTTP/1.0" : "HTTP/1.1";
  }
  if (pool_ != nullptr) entry.key = pool_->key();
  if (last_node_ != nullptr) entry.node = last_node_->name();
  entry.status = status_ != 0 ? status_ : kClientGone;
  entry.sent_bytes = sent_bytes_;
  entry.body_bytes = sent_bytes_ - std::min(sent_bytes_, head_sent_bytes_);
  entry.duration_ms = coarse_monotonic_ms() - began_ms_;
  entry.request_id = request_id_;
  entry.secure = came_securely();
  const Settings& settings = *context_.settings;
  const auto format = settings.options.access_log->format;
  const std::size_t bytes = write_access_line(format, entry,
                                              context_.access_clock,
                                              context_.heading());
  settings.access_log->push(context_.number,
                            {context_.head_scratch.get(), bytes});
}

}  // namespace fealty::router
