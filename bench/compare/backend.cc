// A node that answers from memory, for the comparison bench: uwsgi, or HTTP/1.1.
//
// What it is for: every peer of the bench stands in front of the same node, and
// the node must cost so little that the figures are those of the peers.
// Shape: one request a connection, as uWSGI does it: it reads one request packet
//   [modifier1 u8][datasize u16 LE][modifier2 u8][datasize bytes of pairs]
//   and CONTENT_LENGTH bytes of body, which it drops; it answers one response and closes.
//   Over HTTP/1.1 it reads heads, without a body, and answers one after the other on a connection that
//   stays open, as an application server with keep-alive does.
//   PATH_INFO (else REQUEST_URI) is "/N": the response has N bytes of body; any other path is 404.
//   HEAD gets the same head without the body. "/served" says how many requests it has taken, this one
//   left out: the bench asks it whether a peer really asked the node.
// Start: prints "ready ADDRESS" on stdout, a line for each listener, once all are bound
//   (of "127.0.0.1:0" the port that was given).
// Threads: one, with one epoll instance; everything is non-blocking.
// Bounds: kBodyBytesMax a response, kResponsesMax different sizes, 4 + 65535 bytes a packet,
//   kAcceptsMax connections a turn.
//   kHeadBytesMax an HTTP head.
// Errors: what does not add up closes its connection; a fault of the listener ends the process.
// Source: the uwsgi packet as uWSGI 2.0.21 and nginx send it.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fealty::bench {
namespace {

constexpr int kBacklog = 4096;
constexpr int kAcceptsMax = 64;
constexpr int kEventsMax = 256;
constexpr std::size_t kPacketHeaderBytes = 4;
constexpr std::size_t kReadBytesMin = 4096;
constexpr std::size_t kHeadBytesMax = 64U << 10;
constexpr std::size_t kBodyBytesMax = 64U << 20;
constexpr std::size_t kResponsesMax = 32;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "bench_backend: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

std::size_t read_u16(const char* at) {
  const auto low = static_cast<unsigned char>(at[0]);
  const auto high = static_cast<unsigned char>(at[1]);
  return static_cast<std::size_t>(low) | static_cast<std::size_t>(high) << 8U;
}

std::optional<std::size_t> parse_size(std::string_view text) {
  std::size_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

// What the node wants to know of a request; views into the packet.
struct Request {
  std::string_view method;
  std::string_view path;
  std::string_view uri;
  std::size_t body_bytes = 0;
};

void take_variable(Request& request, std::string_view key, std::string_view value) {
  if (key == "PATH_INFO") {
    request.path = value;
  } else if (key == "REQUEST_URI") {
    request.uri = value;
  } else if (key == "REQUEST_METHOD") {
    request.method = value;
  } else if (key == "CONTENT_LENGTH") {
    request.body_bytes = parse_size(value).value_or(0);  // empty where there is no body
  }
}

std::optional<std::string_view> take_text(std::string_view& rest) {
  if (rest.size() < 2) return std::nullopt;
  const std::size_t size = read_u16(rest.data());
  if (rest.size() - 2 < size) return std::nullopt;
  const std::string_view text = rest.substr(2, size);
  rest.remove_prefix(2 + size);
  return text;
}

std::optional<Request> parse_request(std::string_view pairs) {
  Request request;
  while (!pairs.empty()) {
    const auto key = take_text(pairs);
    const auto value = take_text(pairs);
    if (!key || !value) return std::nullopt;
    take_variable(request, *key, *value);
  }
  if (request.path.empty()) request.path = request.uri.substr(0, request.uri.find('?'));
  return request;
}

// METHOD SP TARGET SP ...; the rest of the head says nothing that the node wants to know.
std::optional<Request> parse_http_request(std::string_view head) {
  const std::size_t method_end = head.find(' ');
  if (method_end == head.npos) return std::nullopt;
  const std::size_t target_end = head.find(' ', method_end + 1);
  if (target_end == head.npos) return std::nullopt;
  Request request;
  request.method = head.substr(0, method_end);
  request.path = head.substr(method_end + 1, target_end - method_end - 1);
  return request;
}

struct Response {
  std::string bytes;
  std::size_t head_bytes = 0;
};

Response make_response(std::string_view status, std::string_view body) {
  Response response;
  response.bytes.append("HTTP/1.1 ").append(status);
  response.bytes.append("\r\nContent-Type: text/plain\r\nContent-Length: ");
  response.bytes.append(std::to_string(body.size())).append("\r\n\r\n");
  response.head_bytes = response.bytes.size();
  response.bytes.append(body);
  return response;
}

// The responses, each made once. Addresses stay valid for the life of the store, but that of "/served"
// only until it is asked for again: one asker at a time.
class Responses {
 public:
  const Response& find(std::string_view path) {
    if (path == "/served") return served_ = make_response("200 OK", std::to_string(requests_));
    ++requests_;
    return find_sized(path);
  }

 private:
  const Response& find_sized(std::string_view path) {
    const auto size = path.starts_with('/') ? parse_size(path.substr(1)) : std::nullopt;
    if (!size || *size > kBodyBytesMax) return not_found_;
    const auto known = by_size_.find(*size);
    if (known != by_size_.end()) return known->second;
    if (by_size_.size() == kResponsesMax) return not_found_;
    return by_size_.emplace(*size, make_response("200 OK", std::string(*size, 'x'))).first->second;
  }

  std::map<std::size_t, Response> by_size_;
  Response not_found_ = make_response("404 Not Found", "");
  Response served_;
  std::uint64_t requests_ = 0;
};

enum class Step { WouldBlock, Again, Done };
enum class Protocol { Uwsgi, Http };

// One connection. Objects are reused with their descriptor's number, so that in a steady
// state nothing is allocated.
class Connection {
 public:
  void open(int fd, Protocol protocol) {
    fd_ = fd;
    protocol_ = protocol;
    have_bytes_ = 0;
    drop_bytes_ = 0;
    out_ = {};
    watched_ = 0;
    if (buffer_.size() < kReadBytesMin) buffer_.resize(kReadBytesMin);
  }

  // Runs until it would block or is done; Done means: close the descriptor.
  Step advance(Responses& responses) {
    Step step = Step::Again;
    while (step == Step::Again) {
      step = out_.data() != nullptr ? (drop_bytes_ > 0 ? drop_body() : write_answer())
             : protocol_ == Protocol::Http ? read_head(responses) : read_packet(responses);
    }
    return step;
  }

  std::uint32_t wants() const { return out_.data() != nullptr && drop_bytes_ == 0 ? EPOLLOUT : EPOLLIN; }
  std::uint32_t watched() const { return watched_; }
  void set_watched(std::uint32_t events) { watched_ = events; }

 private:
  Step read_packet(Responses& responses) {
    const ssize_t count = ::recv(fd_, buffer_.data() + have_bytes_, buffer_.size() - have_bytes_, 0);
    if (count <= 0) return count < 0 && errno == EAGAIN ? Step::WouldBlock : Step::Done;
    have_bytes_ += static_cast<std::size_t>(count);
    if (have_bytes_ < kPacketHeaderBytes) return Step::Again;
    const std::size_t packet_bytes = kPacketHeaderBytes + read_u16(buffer_.data() + 1);
    if (buffer_.size() < packet_bytes) buffer_.resize(packet_bytes);
    return have_bytes_ < packet_bytes ? Step::Again : take_packet(packet_bytes, responses);
  }

  Step take_packet(std::size_t packet_bytes, Responses& responses) {
    const auto request = parse_request({buffer_.data() + kPacketHeaderBytes, packet_bytes - kPacketHeaderBytes});
    if (!request) return Step::Done;
    const Response& response = responses.find(request->path);
    out_ = response.bytes;
    if (request->method == "HEAD") out_ = out_.substr(0, response.head_bytes);
    const std::size_t body_here = have_bytes_ - packet_bytes;
    drop_bytes_ = request->body_bytes > body_here ? request->body_bytes - body_here : 0;
    return Step::Again;
  }

  Step read_head(Responses& responses) {
    constexpr std::string_view kEnd = "\r\n\r\n";
    const std::size_t end = std::string_view(buffer_.data(), have_bytes_).find(kEnd);
    if (end != std::string_view::npos) return take_head(end + kEnd.size(), responses);
    if (have_bytes_ == buffer_.size()) buffer_.resize(buffer_.size() * 2);
    if (have_bytes_ >= kHeadBytesMax) return Step::Done;
    const ssize_t count = ::recv(fd_, buffer_.data() + have_bytes_, buffer_.size() - have_bytes_, 0);
    if (count <= 0) return count < 0 && errno == EAGAIN ? Step::WouldBlock : Step::Done;
    have_bytes_ += static_cast<std::size_t>(count);
    return Step::Again;
  }

  Step take_head(std::size_t head_bytes, Responses& responses) {
    const auto request = parse_http_request({buffer_.data(), head_bytes});
    if (!request) return Step::Done;
    const Response& response = responses.find(request->path);
    out_ = response.bytes;
    if (request->method == "HEAD") out_ = out_.substr(0, response.head_bytes);
    have_bytes_ -= head_bytes;
    std::memmove(buffer_.data(), buffer_.data() + head_bytes, have_bytes_);
    return Step::Again;
  }

  // The body is read to its end before the answer: closing a socket with unread bytes in it resets it.
  Step drop_body() {
    std::array<char, 65536> scratch;
    const std::size_t want = drop_bytes_ < scratch.size() ? drop_bytes_ : scratch.size();
    const ssize_t count = ::recv(fd_, scratch.data(), want, 0);
    if (count <= 0) return count < 0 && errno == EAGAIN ? Step::WouldBlock : Step::Done;
    drop_bytes_ -= static_cast<std::size_t>(count);
    return Step::Again;
  }

  Step write_answer() {
    const ssize_t count = ::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
    if (count < 0) return errno == EAGAIN ? Step::WouldBlock : Step::Done;
    out_.remove_prefix(static_cast<std::size_t>(count));
    if (!out_.empty()) return Step::Again;
    out_ = {};
    return protocol_ == Protocol::Http ? Step::Again : Step::Done;
  }

  int fd_ = -1;
  Protocol protocol_ = Protocol::Uwsgi;
  std::size_t have_bytes_ = 0;
  std::size_t drop_bytes_ = 0;
  std::string_view out_;  // into Responses; set once the packet is read
  std::uint32_t watched_ = 0;
  std::vector<char> buffer_;
};

// A listening socket and the address that it really has.
struct Listener {
  int fd = -1;
  std::string address;
  Protocol protocol = Protocol::Uwsgi;
};

Listener listen_unix(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.size() >= sizeof(name.sun_path)) {
    errno = ENAMETOOLONG;
    die("unix:" + path);
  }
  std::memcpy(name.sun_path, path.c_str(), path.size() + 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || ::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0 ||
      ::listen(fd, kBacklog) != 0) {
    die("cannot listen on unix:" + path);
  }
  return {fd, "unix:" + path};
}

sockaddr_in parse_ipv4(const std::string& address) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  const std::size_t colon = address.rfind(':');
  const auto port = colon == std::string::npos ? std::nullopt : parse_size(std::string_view(address).substr(colon + 1));
  if (!port || *port > 65535 || ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &name.sin_addr) != 1) {
    errno = EINVAL;
    die("not an IPv4 address and port: " + address);
  }
  name.sin_port = htons(static_cast<std::uint16_t>(*port));
  return name;
}

Listener listen_tcp(const std::string& address) {
  sockaddr_in name = parse_ipv4(address);
  socklen_t name_bytes = sizeof(name);
  const int one = 1;
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||  // connections inherit it
      ::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0 || ::listen(fd, kBacklog) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &name_bytes) != 0) {
    die("cannot listen on " + address);
  }
  const std::string host = address.substr(0, address.rfind(':'));
  return {fd, host + ":" + std::to_string(ntohs(name.sin_port))};
}

Listener listen_on(const std::string& address, Protocol protocol) {
  constexpr std::string_view kUnix = "unix:";
  Listener listener =
      address.starts_with(kUnix) ? listen_unix(address.substr(kUnix.size())) : listen_tcp(address);
  listener.protocol = protocol;
  return listener;
}

class Server {
 public:
  explicit Server(std::vector<Listener> listeners)
      : epoll_fd_(::epoll_create1(EPOLL_CLOEXEC)), listeners_(std::move(listeners)) {
    if (epoll_fd_ < 0) die("epoll_create1");
    for (const Listener& listener : listeners_) control(EPOLL_CTL_ADD, listener.fd, EPOLLIN);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, kEventsMax> events;
    for (;;) {
      const int count = ::epoll_wait(epoll_fd_, events.data(), kEventsMax, -1);
      if (count < 0 && errno != EINTR) die("epoll_wait");
      for (int i = 0; i < count; ++i) on_event(events[static_cast<std::size_t>(i)].data.fd);
    }
  }

 private:
  void on_event(int fd) {
    for (const Listener& listener : listeners_) {
      if (listener.fd == fd) return accept_some(listener);
    }
    advance(fd);
  }

  void accept_some(const Listener& listener) {
    for (int i = 0; i < kAcceptsMax; ++i) {
      const int fd = ::accept4(listener.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) die("accept4");
        return;
      }
      const auto index = static_cast<std::size_t>(fd);
      if (connections_.size() <= index) connections_.resize(index + 1);
      connections_[index].open(fd, listener.protocol);
      advance(fd);
    }
  }

  void advance(int fd) {
    Connection& connection = connections_[static_cast<std::size_t>(fd)];
    if (connection.advance(responses_) == Step::Done) {
      ::close(fd);
      return;
    }
    const std::uint32_t wants = connection.wants();
    if (wants == connection.watched()) return;
    control(connection.watched() == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, wants);
    connection.set_watched(wants);
  }

  void control(int operation, int fd, std::uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_fd_, operation, fd, &event) != 0) die("epoll_ctl");
  }

  int epoll_fd_;
  std::vector<Listener> listeners_;
  std::vector<Connection> connections_;  // by descriptor
  Responses responses_;
};

constexpr const char* kUsage =
    "usage: bench_backend --listen ADDRESS | --listen-http ADDRESS ...\n"
    "A uwsgi or HTTP node for benchmarks: GET /N is answered with N bytes from memory.\n"
    "ADDRESS is unix:PATH or IPV4:PORT (port 0: a free one). Prints \"ready ADDRESS\" once bound.\n";

int usage(std::FILE* to, int exit_code) { return std::fputs(kUsage, to) < 0 ? 1 : exit_code; }

int serve(const std::vector<std::pair<std::string, Protocol>>& addresses) {
  ::signal(SIGPIPE, SIG_IGN);
  std::vector<Listener> listeners;
  for (const auto& [address, protocol] : addresses) listeners.push_back(listen_on(address, protocol));
  for (const Listener& listener : listeners) std::printf("ready %s\n", listener.address.c_str());
  std::fflush(stdout);
  Server(std::move(listeners)).run();
}

int run(const std::vector<std::string_view>& arguments) {
  std::vector<std::pair<std::string, Protocol>> addresses;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--help") return usage(stdout, 0);
    const bool http = arguments[i] == "--listen-http";
    if ((!http && arguments[i] != "--listen") || i + 1 == arguments.size()) return usage(stderr, 2);
    addresses.emplace_back(arguments[++i], http ? Protocol::Http : Protocol::Uwsgi);
  }
  if (addresses.empty()) return usage(stderr, 2);
  return serve(addresses);
}

}  // namespace
}  // namespace fealty::bench

int main(int argc, char** argv) { return fealty::bench::run({argv + 1, argv + argc}); }
