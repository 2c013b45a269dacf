// What a node is sent of a request's head: encoded once, while its bytes are
// there, or again where the next node of the pool speaks another protocol.

#include <algorithm>

#include "base/check.h"
#include "router/node_http.h"
#include "router/node_uwsgi.h"
#include "router/session.h"
#include "wire/uwsgi_packet.h"

namespace fealty::router {

Session::Wire Session::wire_of(const subscription::Node& node) {
  return node.protocol == subscription::Protocol::kHttp ? Wire::kHttp
                                                        : Wire::kUwsgi;
}

// One that is given the packet, and from there on the client's bytes as they
// come.
bool Session::is_raw(const subscription::Node& node) {
  return wire_of(node) == Wire::kUwsgi &&
         node.modifier1 == wire::kModifierRaw;
}

// For the first node, whichever it will be. Whether the request is passed on
// raw goes by it too; those of the other kind manage. Where nodes speak several
// protocols, or none is there yet, the head is kept, and a chunked body is
// collected for all of them: its length is then known when the node is. False:
// failed.
bool Session::encode_first(std::string_view bytes,
                           const http::RequestHead& head,
                           const http::Host& host) {
  const Wire wire = pool_->nodes().empty() ? Wire::kNone
                                            : wire_of(pool_->nodes().front());
  if (wire != Wire::kNone && !pool_->mixed_protocols()) {
    raw_ = is_raw(pool_->nodes().front());
    streams_chunks_ = chunked_open_ && wire == Wire::kHttp;
    return encode_request(head, host, wire);
  }
  if (bytes.size() > BufferPool::kLarge) {
    fail(431, "The request's headers are too large for the application.");
    return false;
  }
  head_ = context_.buffers.acquire(bytes.size());
  head_.append(bytes);
  return chunked_open_ || wire == Wire::kNone ||
         encode_request(head, host, wire);
}

// The same request for a node of another protocol, with as much of the body as
// the packet had. False: failed.
bool Session::encode_again(Wire wire) {
  const Buffer before = std::move(packet_);
  const std::size_t head_bytes = packet_head_bytes_;
  http::RequestHead& head = context_.request;
  const auto problem = parse_request({head_.data(), head_.size()});
  http::Host host{};
  FEALTY_CHECK(problem.status == 0);  // as it was the first time
  static_cast<void>(http::normalise_host(asked_for(), host));
  if (!encode_request(head, host, wire)) return false;
  if (store_ != nullptr && wire == Wire::kUwsgi) add_stored_length();
  if (before.size() <= head_bytes) return true;
  const std::span<const char> body(before.data() + head_bytes,
                                   before.size() - head_bytes);
  if (add_to_packet(body) == body.size()) return true;
  fail(431, "The request's headers are too large for the application.");
  return false;
}

// Into packet_: most fit a small block. False: failed.
bool Session::encode_request(const http::RequestHead& head,
                             const http::Host& host, Wire wire) {
  const bool seals = wire == Wire::kUwsgi && context_.settings->seal &&
                     pool_->leaves_by_uwsgi();
  for (const std::size_t bytes : {BufferPool::kSmall, BufferPool::kLarge}) {
    packet_ = context_.buffers.acquire(bytes);
    std::size_t written = 0;
    std::span<char> room = packet_.room();
    if (seals) {
      room = room.first(std::min(room.size(), wire::kUwsgiPacketBytesMax) -
                        RequestSeal::kPairBytesMax);
    }
    switch (encode_into(head, host, wire, room, written)) {
      case Encoded::kOk:
        if (seals) {
          written = context_.settings->seal->add(packet_.room(), written,
                                                 system_unix_s());
        }
        packet_.filled(written);
        packet_head_bytes_ = written;
        wire_ = wire;
        return true;
      case Encoded::kBadPath:
        fail(400, "Malformed escape in the request's path.");
        return false;
      case Encoded::kTooLarge:
        break;
    }
  }
  fail(431, "The request's headers are too large for the application.");
  return false;
}

Encoded Session::encode_into(const http::RequestHead& head,
                             const http::Host& host, Wire wire,
                             std::span<char> out, std::size_t& bytes) {
  ConnectionVariables connection{
      {remote_addr_, remote_addr_bytes_},
      {remote_port_, remote_port_bytes_},
      server_port(host),
      &context_.options().extra_variables,
      came_securely()};
  if (client_certificate_ != nullptr) {
    connection.client_subject = client_certificate_->subject;
    connection.client_pem = client_certificate_->pem;
    connection.client_der = client_certificate_->der;
  }
  if (vouched_) {
    connection.client_subject = context_.uwsgi_request.client_subject;
  }
  if (wire == Wire::kUwsgi && listener_->speaks_uwsgi) {
    const UwsgiRequest& request = context_.uwsgi_request;
    const UwsgiForward how{
        peer_trusted_, !believes_client() || request.remote_addr.empty(),
        connection.remote_addr, connection.remote_port, connection.extra};
    return forward_uwsgi_request(request, how, out, bytes);
  }
  if (wire == Wire::kHttp) {
    return encode_http_request(head, connection, body_for_node(head), out,
                               bytes);
  }
  return encode_uwsgi_request(head, host, connection, out, bytes);
}

// A Unix listener has none, and the applications' interfaces forbid an empty one
// (PEP 3333, RFC 3875 section 4.1.15): the port that the client asked for, then.
std::string_view Session::server_port(const http::Host& host) const {
  if (!listener_->server_port.empty()) return listener_->server_port;
  if (!host.host_port().empty()) {
    return host.host_port().substr(host.host().size() + 1);
  }
  return listener_->is_tls() ? "443" : "80";
}

NodeBody Session::body_for_node(const http::RequestHead& head) const {
  if (store_ != nullptr) return {http::BodyFraming::kLength, store_->size()};
  return {head.framing, head.content_length};
}

// CONTENT_LENGTH of a collected body, into a uwsgi packet that has none.
void Session::add_stored_length() {
  const std::size_t before = packet_.size();
  const std::size_t after = append_content_length(
      {packet_.data(), before + packet_.room().size()}, before, store_->size());
  packet_.filled(after - before);
  packet_head_bytes_ = after;
}

// Adds bytes of the body, to go out with the head; returns how many fit.
std::size_t Session::add_to_packet(std::span<const char> bytes) {
  if (bytes.size() > packet_.room().size() &&
      packet_.size() + bytes.size() <= BufferPool::kLarge) {
    Buffer larger = context_.buffers.acquire(packet_.size() + bytes.size());
    larger.append({packet_.data(), packet_.size()});
    packet_ = std::move(larger);
  }
  return packet_.append(bytes);
}

}  // namespace fealty::router
