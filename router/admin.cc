#include "router/admin.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "http/head_scanner.h"
#include "router/error_page.h"
#include "router/listen.h"
#include "router/stream.h"

namespace fealty::router {
namespace {

// The other end is this process: a worker whose node's path became a link to
// this socket after it was announced. (TCP has no such thing: pid 0.)
bool is_own(int fd) {
  ucred peer{};
  socklen_t bytes = sizeof peer;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 &&
         peer.pid == ::getpid();
}

}  // namespace

class Admin::Listener {
 public:
  Listener(Admin& admin, const Address& address, UniqueFd fd)
      : address_(address), file_(address), admin_(admin), fd_(std::move(fd)) {
    io_.bind<&Listener::on_readable>(admin.loop_, this);
    pause_.bind<&Listener::on_pause_over>(admin.loop_, this);
  }
  void start() {
    if (!io_.active()) io_.start(fd_.get(), EV_READ);
  }
  void stop() {
    while (accept_one()) {
    }
    io_.stop();
    pause_.stop();
  }
  [[nodiscard]] const Address& address() const { return address_; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  void leave_file() { file_.leave(); }

 private:
  bool accept_one() {
    UniqueFd fd(::accept4(fd_.get(), nullptr, nullptr,
                          SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.valid()) return false;
    admin_.on_connection(std::move(fd));
    return true;
  }
  void on_readable(int) {
    if (!accept_one() && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
      io_.want(0);
      pause_.start(kPauseMs);
    }
  }
  void on_pause_over() { io_.want(EV_READ); }

  static constexpr std::int64_t kPauseMs = 100;

  Address address_;                // as it was asked for
  SocketFile file_;
  Admin& admin_;
  UniqueFd fd_;
  IoWatcher io_;
  TimerWatcher pause_;
};

// Reads one request, writes one answer. Deletes itself through remove(), which
// is therefore the last thing that any of its functions does.
class Admin::Connection {
 public:
  Connection(Admin& admin, UniqueFd fd)
      : admin_(admin), stream_(std::move(fd)) {
    io_.bind<&Connection::on_event>(admin.loop_, this);
    silence_.bind<&Connection::on_silence>(admin.loop_, this);
    lifetime_.bind<&Connection::on_lifetime>(admin.loop_, this);
    io_.start(stream_.fd(), EV_READ);
    silence_.start(kSilenceMs);
    lifetime_.start(kLifetimeMs);
  }

 private:
  void on_event(int events) {
    if ((events & EV_WRITE) != 0) {
      flush();
    } else {
      read();
    }
  }
  // What came in while the control thread was busy counts as in time.
  void on_silence() {
    if (read() == Heard::kNothing) respond_to_silence();
  }
  void on_lifetime() { admin_.remove(*this); }

  void respond_to_silence() { respond(admin_.handler_({"GET", "/", ""}).body); }

  // kSomething: the connection may be gone afterwards.
  enum class Heard : std::uint8_t { kNothing, kSomething };
  Heard read() {
    std::array<char, 4096> bytes;
    const IoResult result = stream_.read(bytes);
    if (result.would_block()) return Heard::kNothing;
    if (result.end() && request_.empty()) {
      respond_to_silence();  // it will say nothing more
    } else if (!result.ok()) {
      admin_.remove(*this);
    } else {
      on_bytes(std::span<const char>(bytes).first(result.bytes));
    }
    return Heard::kSomething;
  }

  void on_bytes(std::span<const char> bytes) {
    silence_.stop();
    request_.append(bytes.data(), bytes.size());
    const auto step = scanner_.scan(request_);
    if (step == http::HeadScanner::Step::kComplete) {
      respond_to_request();
    } else if (step == http::HeadScanner::Step::kBad ||
               request_.size() > kRequestBytesMax) {
      respond("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n"
              "Connection: close\r\n\r\n");
    }
  }

  void respond_to_request() {
    const std::string_view head(request_.data(), scanner_.head_bytes());
    Answer answer;
    const auto problem = http::parse_request_head(head, admin_.head_);
    if (problem.status != 0) {
      answer = {problem.status, "text/plain", std::string(problem.reason)};
    } else {
      const http::RequestHead& asked = admin_.head_;
      answer = admin_.handler_({asked.is_head() ? "GET" : asked.method,
                                asked.path, asked.query});
    }
    const std::string_view title =
        answer.status == 200 ? "OK" : status_title(answer.status);
    const bool head_only = problem.status == 0 && admin_.head_.is_head();
    std::string text = "HTTP/1.1 " + std::to_string(answer.status) + " " +
                       std::string(title) +
                       "\r\nContent-Type: " + answer.content_type +
                       "\r\nContent-Length: " +
                       std::to_string(answer.body.size()) +
                       "\r\nCache-Control: no-store\r\n"
                       "Connection: close\r\n";
    if (!answer.allow.empty()) {
      text.append("Allow: ").append(answer.allow).append("\r\n");
    }
    text += "\r\n";
    if (!head_only) text += answer.body;
    respond(std::move(text));
  }

  void respond(std::string text) {
    silence_.stop();
    response_ = std::move(text);
    io_.want(EV_WRITE);
    flush();
  }

  void flush() {
    while (sent_ < response_.size()) {
      const IoResult result = stream_.write(
          std::span<const char>(response_).subspan(sent_));
      if (result.would_block()) return;
      if (!result.ok()) break;
      sent_ += result.bytes;
    }
    stream_.shut_down_writing();
    admin_.remove(*this);
  }

  Admin& admin_;
  Stream stream_;
  IoWatcher io_;
  TimerWatcher silence_;
  TimerWatcher lifetime_;
  http::HeadScanner scanner_;
  std::string request_;
  std::string response_;
  std::size_t sent_ = 0;
};

Admin::Admin(Loop& loop, Handler handler)
    : loop_(loop), handler_(std::move(handler)) {}

Admin::~Admin() = default;

Result<Admin::Listeners> Admin::prepare(
    const std::vector<Address>& addresses) {
  Listeners listeners;
  for (const Address& address : addresses) {
    const auto known = std::find_if(
        listeners_.begin(), listeners_.end(), [&](const auto& listener) {
          return listener->address().to_string() == address.to_string();
        });
    if (known != listeners_.end()) {
      listeners.push_back(*known);
      continue;
    }
    auto fd = listen_on(address, {});
    if (!fd) return fd.error();
    listeners.push_back(
        std::make_shared<Listener>(*this, address, *std::move(fd)));
  }
  return listeners;
}

void Admin::adopt(Listeners listeners) {
  const Listeners before = std::exchange(listeners_, std::move(listeners));
  for (const auto& listener : before) {
    const bool stays = std::find(listeners_.begin(), listeners_.end(),
                                 listener) != listeners_.end();
    if (!stays && started_) listener->stop();
  }
  if (started_) start();
}

std::vector<std::pair<Address, int>> Admin::sockets() const {
  std::vector<std::pair<Address, int>> all;
  for (const auto& listener : listeners_) {
    all.emplace_back(listener->address(), listener->fd());
  }
  return all;
}

void Admin::leave_files() {
  for (const auto& listener : listeners_) listener->leave_file();
}

void Admin::inherit(const Address& address, UniqueFd socket) {
  listeners_.push_back(
      std::make_shared<Listener>(*this, address, std::move(socket)));
}

void Admin::start() {
  started_ = true;
  for (const auto& listener : listeners_) listener->start();
}

std::vector<Address> Admin::bound(const Listeners& listeners) {
  std::vector<Address> addresses;
  for (const auto& listener : listeners) {
    addresses.push_back(bound_address(listener->fd()));
  }
  return addresses;
}

void Admin::on_connection(UniqueFd fd) {
  if (connections_.size() >= kConnectionsMax || is_own(fd.get())) return;
  connections_.push_back(std::make_unique<Connection>(*this, std::move(fd)));
}

void Admin::remove(Connection& connection) {
  std::erase_if(connections_,
                [&](const auto& own) { return own.get() == &connection; });
}

std::string query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::size_t ampersand = query.find('&');
    const std::string_view pair = query.substr(0, ampersand);
    query = ampersand == query.npos ? std::string_view{}
                                    : query.substr(ampersand + 1);
    const std::size_t equals = pair.find('=');
    if (equals == pair.npos || pair.substr(0, equals) != name) continue;
    const std::string_view raw = pair.substr(equals + 1);
    std::string value(raw.size(), '\0');
    const std::size_t bytes = http::percent_decode(raw, value.data());
    if (bytes == SIZE_MAX) return {};
    value.resize(bytes);
    return value;
  }
  return {};
}

}  // namespace fealty::router
