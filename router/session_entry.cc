// How a connection begins that is not HTTP from its first byte: with a PROXY
// header, or with a uwsgi packet instead of an HTTP head.

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "router/session.h"
#include "subscription/hash.h"
#include "wire/proxy_header.h"
#include "wire/uwsgi_packet.h"

namespace fealty::router {
namespace {

template <std::size_t N>
std::uint8_t copy_text(char (&to)[N], std::string_view from) {
  const std::size_t bytes = std::min(N, from.size());
  std::memcpy(to, from.data(), bytes);
  return static_cast<std::uint8_t>(bytes);
}

}  // namespace

void Session::set_client(std::string_view host, std::string_view port) {
  remote_addr_bytes_ = copy_text(remote_addr_, host);
  remote_port_bytes_ = copy_text(remote_port_, port);
  choice_.client_hash =
      subscription::stable_hash({remote_addr_, remote_addr_bytes_});
}

void Session::set_client(const Address& client) {
  set_client(client.host(),
             client.is_ip() ? std::to_string(client.port()) : "");
}

// ------------------------------------------------------------- PROXY headers

void Session::begin_proxy_header() {
  if (!peer_trusted_) {
    refuse_proxy_header("it is not in `trusted`");
    return;
  }
  state_ = State::kProxyHeader;
  context_.head_deadline.arm(deadline_, coarse_monotonic_ms());
}

void Session::refuse_proxy_header(std::string_view why) {
  Counters::add(context_.counters.proxy_refused);
  std::uint64_t suppressed = 0;
  if (context_.proxy_log.allow(coarse_monotonic_ms(), &suppressed)) {
    log::warning("connection of {} refused, on a listener with PROXY headers: "
                 "{}{}",
                 std::string_view(remote_addr_, remote_addr_bytes_), why,
                 suppressed > 0 ? fmt::format(" ({} more like it)", suppressed)
                                : "");
  }
  close();
}

// Only the header's own bytes are taken off the socket: what follows may be TLS.
void Session::read_proxy_header() {
  if (!in_.has_block()) in_ = context_.buffers.acquire(BufferPool::kSmall);
  static_assert(wire::kProxyHeaderBytesMax <= BufferPool::kSmall);
  const std::span<char> room = in_.room();
  const ssize_t seen =
      ::recv(client_.fd(), room.data(), room.size(), MSG_PEEK);
  if (seen < 0 && (errno == EAGAIN || errno == EINTR)) return;
  const auto header =
      seen <= 0 ? wire::ProxyHeader{}
                : wire::parse_proxy_header(
                      {in_.data(), in_.size() + static_cast<std::size_t>(seen)});
  // Whoever only looks whether somebody listens.
  if (seen <= 0 && in_.empty()) {
    close();
    return;
  }
  using Found = wire::ProxyHeader::State;
  if (header.state == Found::kBad) {
    refuse_proxy_header("what it sent is no PROXY header");
    return;
  }
  const std::size_t own = header.state == Found::kMore
                              ? static_cast<std::size_t>(seen)
                              : header.bytes - in_.size();
  if (::recv(client_.fd(), room.data(), own, 0) != static_cast<ssize_t>(own)) {
    close();
    return;
  }
  in_.filled(own);
  if (header.state == Found::kMore) return;
  in_.release();
  if (header.source.is_ip()) set_client(header.source);
  begin_requests();
}

// ------------------------------------------------------------- uwsgi packets

void Session::begin_packet() {
  state_ = State::kReadPacket;
  context_.head_deadline.arm(deadline_, coarse_monotonic_ms());
}

void Session::read_packet() {
  if (!in_.has_block()) in_ = context_.buffers.acquire(BufferPool::kSmall);
  if (in_.room().empty() && !grow_packet_room()) return;
  const IoResult result = client_.read(in_.room());
  if (result.would_block()) return;
  if (!result.ok()) {
    close();
    return;
  }
  in_.filled(result.bytes);
  Counters::add(context_.counters.received_bytes, result.bytes);
  const auto header = wire::decode_uwsgi_header({in_.data(), in_.size()});
  if (!header) return;
  if (header->data_bytes > context_.options().limits.head_bytes) {
    fail(431, "The request's variables are too large (limits.head_bytes).");
    return;
  }
  const std::size_t whole = wire::kUwsgiHeaderBytes + header->data_bytes;
  if (in_.size() >= whole) take_packet({in_.data(), whole});
}

// For as much as the packet says that it has. False: closed.
bool Session::grow_packet_room() {
  const auto header = wire::decode_uwsgi_header({in_.data(), in_.size()});
  const std::size_t whole = wire::kUwsgiHeaderBytes + header->data_bytes;
  Buffer larger = context_.buffers.acquire(whole);
  larger.append({in_.data(), in_.size()});
  in_ = std::move(larger);
  return true;
}

void Session::take_packet(std::string_view packet) {
  processing_ = true;
  begin_request(packet);
  processing_ = false;
  if (state_ != State::kClosed) watch_client();
}

// What the request in the scratch says of its client, as far as that counts.
void Session::believe() {
  const UwsgiRequest& request = context_.uwsgi_request;
  if (believes_client() && !request.remote_addr.empty()) {
    set_client(request.remote_addr, request.remote_port);
  }
  vouched_ = peer_trusted_ && request.https;
  vouched_client_ = vouched_ && !request.client_subject.empty();
}

// Of the request in the scratch, when it comes: what is asked later, about the same
// request, does not depend on the time or on a reload.
bool Session::is_sealed() {
  using Finding = RequestSeal::Finding;
  const UwsgiRequest& request = context_.uwsgi_request;
  const auto& seal = context_.settings->seal;
  const Finding finding = seal ? seal->judge(request.seal, request.sealed,
                                             system_unix_s())
                               : Finding::kBad;
  if (peer_trusted_ && finding == Finding::kGood) return true;
  Counters::add(
      context_.counters.unsealed[static_cast<std::size_t>(finding)]);
  std::uint64_t suppressed = 0;
  if (context_.seal_log.allow(coarse_monotonic_ms(), &suppressed)) {
    log::warning("a request without the cluster's seal is refused, from {}: {}{}",
                 std::string_view(remote_addr_, remote_addr_bytes_),
                 finding == Finding::kGood ? "the address is not in `trusted`"
                                           : RequestSeal::to_string(finding),
                 suppressed > 0 ? fmt::format(" ({} more like it)", suppressed)
                                : "");
  }
  return false;
}

}  // namespace fealty::router
