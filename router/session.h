#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/buffer_pool.h"
#include "base/deadline.h"
#include "base/fd.h"
#include "base/loop.h"
#include "http/chunked.h"
#include "http/head_scanner.h"
#include "http/request_head.h"
#include "http/response_head.h"
#include "router/body_store.h"
#include "router/node_http.h"
#include "router/listener.h"
#include "router/node_pool.h"
#include "router/route.h"
#include "router/stream.h"
#include "router/worker_context.h"
#include "sni/connection.h"
#include "subscription/choose.h"
#include "subscription/pool.h"

namespace fealty::router {

class Session;

// Told when a session has closed, so that its owner can use it again.
class SessionOwner {
 public:
  virtual void on_session_closed(Session& session) = 0;

 protected:
  ~SessionOwner() = default;
};

// A client's connection and the request that it is at: the state table of the
// data plane.
//
//   state         waits for                      goes to
//   kProxyHeader  the load balancer, to say for  kHandshake, kIdle; closed
//                 whom it connects
//   kReadPacket   a fastrouter's client's        kConnect, kFlush; closed
//                 request, a uwsgi packet
//   kHandshake    the client, to agree on TLS    kIdle, kLinger; closed
//   kIdle         the first byte of a request    kReadHead; closed
//   kReadHead     the rest of its head           kCollectBody, kConnect, kFlush
//   kCollectBody  a chunked body's end, for a    kConnect, kFlush
//                 node that must know its length
//   kConnect      a node that takes the request, kRelay, kFlush
//                 or one to come (it is held)
//   kRelay        the node's answer, and the     kFlush, kIdle, kTunnel; closed
//                 rest of a body for the node
//   kTunnel       bytes of a WebSocket, from     closed
//                 either side
//   kFlush        the client to take the rest    kIdle, kLinger; closed
//   kLinger       the client's end               closed
//
// Every regular close goes through kLinger, unless the client has ended first:
// bytes that come for a closed socket reset it, and the answer with it.
//
// Event-loop callbacks land only here (on_client, on_node, on_deadline); lower
// layers return values. Memory is bounded: what one side does not take stops
// the reading of the other, with at most one block of 66 KiB between them in
// each direction. A connection between two requests holds no block at all.
//
// The request goes to another node only from connect() on, and only where that
// does no harm (docs/decisions/0005 and 0006). What goes to the node is encoded
// at once, while the head's bytes are there; they are kept only where the pool
// has nodes of several protocols.
//
// One thread: its worker's. Reused: open() after closed.
class Session final : private NodeUser {
 public:
  Session(WorkerContext& context, SessionOwner& owner);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Takes over an accepted connection.
  void open(UniqueFd fd, const Address& peer, ListenerPtr listener);
  // Ends it at once, whatever it does.
  void abort();
  // Ends it if it waits for a request of which nothing has come.
  void drain();
  // The same between two requests; else after the one that it is at, or that is
  // its first. A WebSocket goes on.
  void end_soon();
  // That it was accepted under; null: it is closed.
  [[nodiscard]] const Listener* listener() const { return listener_.get(); }
  // Of one that waits to try its nodes again: before it does (false: it waits no
  // more, it was answered), and whether it is its last time.
  [[nodiscard]] bool before_retry();
  [[nodiscard]] bool has_waited_enough(std::int64_t now_ms) const;
  // Whose nodes its request is for; null outside of a request.
  [[nodiscard]] const subscription::Pool* pool() const { return pool_.get(); }
  [[nodiscard]] bool closed() const { return state_ == State::kClosed; }

  // The session that a passed deadline belongs to.
  [[nodiscard]] static Session& of(Deadline& deadline);
  // `queue` is the one that the deadline was in.
  void on_deadline(const DeadlineQueue& queue);

 private:
  enum class State : std::uint8_t {
    kClosed, kProxyHeader, kReadPacket, kHandshake, kIdle, kReadHead, kCollectBody,
    kConnect, kRelay, kTunnel, kFlush, kLinger,
  };
  // What packet_ is encoded for.
  enum class Wire : std::uint8_t { kNone, kUwsgi, kHttp };

  // Nodes that may let a request wait for timeouts.connect each.
  static constexpr int kConnectTimeoutsMost = 3;
  // How often an idempotent request is sent again that a node may have read.
  static constexpr int kRepeatsMost = 2;

  struct OwnedDeadline : Deadline {
    Session* session = nullptr;
  };

  // --- events (session.cc)
  void on_client(int events);
  void on_node(int events) override;
  void on_client_timeout();

  // --- how a connection begins (session_entry.cc)
  void set_client(std::string_view host, std::string_view port);
  void set_client(const Address& client);
  void begin_proxy_header();
  void refuse_proxy_header(std::string_view why);
  void read_proxy_header();
  void begin_packet();
  void read_packet();
  [[nodiscard]] bool grow_packet_room();
  void take_packet(std::string_view packet);
  // Of a uwsgi listener's peer: who it says the client is.
  [[nodiscard]] bool believes_client() const {
    return peer_trusted_ || listener_->trusted.empty();
  }

  // --- TLS (session_tls.cc)
  void begin_handshake();
  void shake_hands();
  [[nodiscard]] bool open_tls();
  [[nodiscard]] bool know_client();
  void log_refused_client();
  void on_secured();

  // --- who may come, and by which connection (session_rules.cc)
  [[nodiscard]] bool may_come(const http::RequestHead& head,
                              const http::Host& host);
  [[nodiscard]] bool may_reach(const http::RequestHead& head,
                               const http::Host& host,
                               const subscription::Pool& pool);
  [[nodiscard]] bool has_rules() const;
  [[nodiscard]] bool may_still_reach();
  // Whether what is asked for may be reached by this connection, or why not.
  enum class Admission : std::uint8_t {
    kGranted,
    kMisdirected,  // its client was judged by other rules
    kUnusable,     // nobody can be judged by the rules
    kElsewhere,    // over HTTPS
    kForbidden,    // not over plain HTTP
  };
  [[nodiscard]] Admission admission_to(const subscription::Pool& pool) const;
  [[nodiscard]] Admission admission_by(const sni::Identity* identity) const;
  [[nodiscard]] Admission plain_admission() const;
  [[nodiscard]] bool admit(Admission admission, const http::RequestHead* head,
                           const http::Host* host);
  void redirect_to_https(const http::RequestHead& head,
                         const http::Host& host);
  [[nodiscard]] bool is_secure() const { return tls_.ssl() != nullptr; }
  // By TLS of this router's, or of a fastrouter's client that is believed.
  [[nodiscard]] bool came_securely() const { return is_secure() || vouched_; }

  // --- the client's side (session.cc)
  void begin_requests();
  [[nodiscard]] http::HeadProblem parse_request(std::string_view bytes);
  [[nodiscard]] bool is_sealed(const UwsgiRequest& request) const;
  [[nodiscard]] std::string_view asked_for() const;
  [[nodiscard]] RoutePath path_asked_for() const;
  void read_head();
  void process_input();
  [[nodiscard]] bool skip_empty_lines();
  [[nodiscard]] bool grow_input();
  void begin_request(std::string_view head);
  void read_ahead();
  void drain_client();
  void fail(int status, std::string_view reason);
  void log_failure(int status, std::string_view reason);
  [[nodiscard]] bool ends_after_this() const {
    return context_.draining || ends_soon_;
  }
  [[nodiscard]] bool body_unread() const {
    return body_left_ > 0 || chunked_open_;
  }
  // A body that goes on to the node as it comes, and has not ended.
  [[nodiscard]] bool body_streams() const {
    return body_left_ > 0 || (streams_chunks_ && chunked_open_);
  }
  [[nodiscard]] bool uploading() const {
    return body_streams() && !upload_refused_;
  }
  // Sends the parts, in order; what the client does not take now is kept in
  // out_. False: the connection is gone (and closed).
  [[nodiscard]] bool send_to_client(const iovec* parts, int count);
  void begin_own_answer(int status, bool keep_alive);
  void send_own_answer(std::size_t bytes);
  void flush_output();
  void finish_answer();
  void finish_request();
  void forget_request();
  void linger();
  void cut_connection();
  void discard_body();
  // A body that nobody will read any more.
  [[nodiscard]] bool discarding() const {
    return body_streams() && (state_ == State::kFlush || upload_refused_);
  }
  void close();
  void watch_client();

  // --- the access log (session_log.cc)
  void note_request(const http::RequestHead& head);
  void shrink_noted();
  void log_request();
  void count_sent(std::size_t bytes);

  // --- what the node is sent (session_encode.cc)
  [[nodiscard]] static Wire wire_of(const subscription::Node& node);
  [[nodiscard]] static bool is_raw(const subscription::Node& node);
  [[nodiscard]] bool encode_first(std::string_view bytes,
                                  const http::RequestHead& head,
                                  const http::Host& host);
  [[nodiscard]] bool encode_again(Wire wire);
  [[nodiscard]] bool encode_request(const http::RequestHead& head,
                                    const http::Host& host, Wire wire);
  [[nodiscard]] Encoded encode_into(const http::RequestHead& head,
                                    const http::Host& host, Wire wire,
                                    std::span<char> out, std::size_t& bytes);
  [[nodiscard]] std::string_view server_port(const http::Host& host) const;
  [[nodiscard]] NodeBody body_for_node(const http::RequestHead& head) const;
  void add_stored_length();
  std::size_t add_to_packet(std::span<const char> bytes);

  // --- the way to the node (session_node.cc)
  // Why a node in hand does not answer the request.
  enum class Fault : std::uint8_t {
    kNone,         // nothing that speaks against the node
    kUnreachable,  // it does not take connections, or lost one unread
    kSlow,         // it let time pass
    kLeft,         // it ended the connection without an answer
  };
  // What became of an attempt at a node.
  enum class Attempt : std::uint8_t {
    kTaken,     // it has the request, or is being waited for
    kNext,      // nothing of the request was read: another may have it
  };
  void connect();
  void no_node_left();
  [[nodiscard]] Attempt connect_to(const subscription::Node& node);
  [[nodiscard]] Attempt open_connection(const subscription::Node& node);
  [[nodiscard]] UniqueFd make_socket(int family);
  void take_node(const subscription::Node& node, NodeConnection& connection);
  [[nodiscard]] Attempt send_packet();
  [[nodiscard]] Attempt wait_for_connection();
  void on_connected();
  void pass_over_node(Fault fault);
  void blame(const subscription::Node& node, Fault fault);
  void say_rest(const subscription::Node& node, Fault fault);
  void praise_node();
  [[nodiscard]] bool may_say_rest();
  void send_more_packet();
  void ask_again_afresh();
  void on_node_lost(int error);
  void on_node_ended();
  void release_node();
  void keep_node();
  void watch_node();
  [[nodiscard]] bool may_reuse_connection() const;
  [[nodiscard]] bool may_keep_node() const;
  [[nodiscard]] bool left_unread(int error) const;
  [[nodiscard]] bool may_repeat() const;

  // --- waiting for a node to come (session_hold.cc)
  [[nodiscard]] bool may_hold(std::int64_t now_ms);
  [[nodiscard]] bool take_hold_place();
  [[nodiscard]] std::int64_t hold_limit_ms() const;
  [[nodiscard]] bool wakes_vassal() const;
  void hold();
  void end_hold();

  // --- the request's body (session_upload.cc)
  void begin_length_body(bool expects_continue);
  void begin_chunked_body(bool expects_continue);
  void begin_chunk_stream(bool expects_continue);
  void send_continue();
  [[nodiscard]] bool add_chunk_to_packet();
  void collect_body();
  void decode_collected();
  [[nodiscard]] bool decode_body(std::size_t most,
                                 http::ChunkedDecoder::Result& decoded,
                                 std::uint64_t before);
  void pump_upload();
  [[nodiscard]] bool push_upload();
  [[nodiscard]] bool pull_upload();
  [[nodiscard]] bool pull_chunks();
  [[nodiscard]] bool read_chunks();
  [[nodiscard]] bool write_upload(std::span<const char> bytes,
                                  std::size_t& written);
  [[nodiscard]] bool write_chunk(std::span<const char> data, bool last);
  [[nodiscard]] bool upload_pending() const;

  // --- WebSockets and raw nodes (session_tunnel.cc)
  void begin_tunnel(const http::ResponseHead& head, std::span<const char> rest);
  void begin_raw_tunnel();
  void enter_tunnel();
  void note_raw_status(std::string_view first_bytes);
  void on_raw_node_ended();
  void fail_raw(int status, std::string_view reason);
  void tunnel_to_node();
  void tunnel_to_client();
  void give_to_node(std::span<const char> bytes);
  void flush_to_node();
  void settle_tunnel();
  void watch_tunnel();

  // --- the way back (session_answer.cc)
  void read_answer();
  void on_answer_bytes(std::span<char> bytes);
  // The bytes behind an interim head are the next head: false then.
  [[nodiscard]] bool on_answer_head(std::string_view head,
                                    std::span<char> rest);
  [[nodiscard]] std::string_view sticky_field(std::span<char> out) const;
  void keep_incomplete_head(std::span<char> bytes);
  void on_answer_broken(int error);
  void relay_body(std::span<const char> head, std::span<char> body);
  void on_answer_end();
  void cut_answer();
  void arm_relay_deadline();

  WorkerContext& context_;
  SessionOwner& owner_;
  State state_ = State::kClosed;

  // The connection.
  Stream client_;
  IoWatcher client_io_;
  OwnedDeadline deadline_;
  Buffer in_;                        // read from the client, not yet used
  Buffer out_;                       // for the client, not yet taken
  http::HeadScanner scanner_;
  ListenerPtr listener_;             // that it was accepted under
  sni::Connection tls_;              // open on a TLS listener
  struct ClientCertificate {
    std::string subject;
    std::string pem, der;            // where applications are to have them
  };
  std::unique_ptr<const ClientCertificate> client_certificate_;
  bool peer_trusted_ = false;        // by its listener
  bool vouched_ = false;             // a trusted peer says: it came over TLS
  bool vouched_client_ = false;      // and with this client's certificate
  bool few_first_bytes_ = false;     // it began with too few bytes to tell
  bool plain_on_tls_ = false;        // it speaks HTTP where TLS is expected
  char remote_addr_[48] = {};
  char remote_port_[8] = {};
  std::uint8_t remote_addr_bytes_ = 0;
  std::uint8_t remote_port_bytes_ = 0;
  bool client_ended_ = false;        // it sends no more
  bool ends_soon_ = false;           // it takes no further request
  bool processing_ = false;          // process_input() is on the stack

  // The request.
  bool keep_alive_ = false;
  bool to_head_ = false;
  bool has_body_ = false;
  bool chunked_open_ = false;        // a chunked body has not ended yet
  bool failed_ = false;              // the answer is the router's own
  bool answered_ = false;            // bytes of an answer went to the client
  std::uint8_t client_minor_version_ = 1;
  bool idempotent_ = false;
  bool websocket_ = false;           // it asks for one
  bool streams_chunks_ = false;      // a chunked body goes on as it comes
  bool raw_ = false;                 // behind the head, bytes are only passed on
  std::uint64_t body_left_ = 0;      // of a Content-Length body, to be read
  std::uint64_t chunk_bytes_ = 0;    // of a streamed chunked body, so far
  std::uint64_t request_id_ = 0;
  http::ChunkedDecoder body_decoder_;
  std::unique_ptr<BodyStore> store_; // a chunked body, whole
  Buffer head_;                      // where the node's protocol is not known
  Wire wire_ = Wire::kNone;
  Buffer packet_;                    // the encoded head, the body's first bytes
  std::size_t packet_head_bytes_ = 0;
  std::size_t packet_sent_ = 0;
  Buffer upload_;                    // body bytes that the node did not take

  // The node.
  subscription::PoolRef pool_;
  const subscription::Node* node_ = nullptr;
  subscription::TriedNodes tried_;
  subscription::Choice choice_;      // client_hash: the connection's
  NodeConnection* connection_ = nullptr;  // while node_ is set
  const subscription::Node* again_ = nullptr;  // to be asked first, once more
  const subscription::Node* last_node_ = nullptr;  // that was asked; of pool_
  std::int64_t connect_until_ms_ = 0;  // for a backlog's sake
  std::int64_t hold_since_ms_ = 0;     // 0: it was not held
  std::int64_t linger_until_ms_ = 0;
  bool connecting_ = false;
  bool reused_ = false;              // the connection was used before
  bool fresh_only_ = false;          // one that was reused turned out dead
  bool heard_ = false;               // bytes of an answer have come from it
  bool node_ended_ = false;          // of a tunnel: it sends no more
  bool node_shut_ = false;           // of a tunnel: it was told the end
  bool client_shut_ = false;         // of a tunnel: the client was
  int repeats_ = 0;                  // nodes that ended without a word
  bool backlog_full_ = false;        // of a node that was tried
  int connect_timeouts_ = 0;         // nodes that did not take the connection
  bool node_gone_ = false;           // a node was tried that is not there
  bool held_ = false;                // has one of limits.held_requests places
  bool spawning_ = false;            // a vassal was asked for on its way
  bool upload_refused_ = false;      // the node reads no more of the body
  bool upload_blocked_ = false;      // it reads no more of it for now

  // The answer.
  Buffer answer_head_;               // an incomplete head
  bool answer_head_done_ = false;
  bool answer_complete_ = false;
  bool node_keeps_ = false;          // the node keeps its connection
  bool surplus_ = false;             // bytes came behind the answer's end
  http::AnswerFraming answer_framing_ = http::AnswerFraming::kNone;
  http::ClientFraming::Body client_framing_ = http::ClientFraming::Body::kAsIs;
  std::uint64_t answer_left_ = 0;
  http::ChunkedDecoder answer_decoder_;

  // For the access log, where there is one.
  Buffer noted_;                     // of the head: method, target, ...
  std::string noted_apart_;          // the same of a WebSocket, which may last
  struct Noted {
    std::uint16_t method, target, host, referer, user_agent;
  } noted_bytes_{};
  std::uint8_t noted_minor_version_ = 1;
  std::int64_t began_ms_ = 0;
  std::uint64_t sent_bytes_ = 0;
  std::uint64_t head_sent_bytes_ = 0;
  std::uint16_t status_ = 0;         // of the answer; 0: none was begun
};

}  // namespace fealty::router
