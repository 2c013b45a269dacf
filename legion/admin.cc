#include "legion/admin.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace fealty::legion {
namespace {

constexpr int kBacklog = 64;
constexpr std::int64_t kSweep_ms = 1'000;

Error failed(const Address& address, std::string_view why) {
  return Error{"cannot listen on " + address.to_string() + ": " +
               std::string(why)};
}

std::string_view title_of(int status) {
  switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    default: return "Service Unavailable";
  }
}

}  // namespace

RequestLine parse_request_line(std::string_view head) {
  const std::string_view line = head.substr(0, head.find_first_of("\r\n"));
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == line.npos || first == last || line.find(' ', first + 1) != last ||
      !line.substr(last + 1).starts_with("HTTP/1.")) {
    return {};
  }
  std::string_view path = line.substr(first + 1, last - first - 1);
  path = path.substr(0, path.find('?'));
  if (!path.starts_with('/')) return {};
  return {line.substr(0, first), path};
}

// Reads one request, writes one answer; goes through remove(), which is
// therefore the last thing that any of its functions does.
class Admin::Connection {
 public:
  Connection(Admin& admin, UniqueFd fd) : admin_(admin), fd_(std::move(fd)) {
    io_.bind<&Connection::on_event>(admin.loop_, this);
    silence_.bind<&Connection::on_silence>(admin.loop_, this);
    lifetime_.bind<&Connection::on_lifetime>(admin.loop_, this);
    io_.start(fd_.get(), EV_READ);
    silence_.start(kSilence_ms);
    lifetime_.start(kLifetime_ms);
  }

 private:
  void on_event(int events) {
    if ((events & EV_WRITE) != 0) return flush();
    read();
  }
  void on_silence() { respond(admin_.handler_("/").body); }
  void on_lifetime() { admin_.remove(*this); }

  void read() {
    std::array<char, 4096> bytes;
    const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      if (got == 0 && request_.empty()) return on_silence();
      return admin_.remove(*this);
    }
    silence_.stop();
    request_.append(bytes.data(), static_cast<std::size_t>(got));
    if (request_.find("\r\n\r\n") != request_.npos) return answer();
    if (request_.size() > kRequestBytesMax) {
      respond(head_of({400, "text/plain", "the request is too long\n"}) +
              "the request is too long\n");
    }
  }

  void answer() {
    const RequestLine line = parse_request_line(request_);
    Answer out;
    if (line.method.empty()) {
      out = {400, "text/plain", "no HTTP/1 request\n"};
    } else if (line.method != "GET" && line.method != "HEAD") {
      out = {405, "text/plain", "GET only\n"};
    } else {
      out = admin_.handler_(line.path);
    }
    std::string text = head_of(out);
    if (line.method != "HEAD") text += out.body;
    respond(std::move(text));
  }

  static std::string head_of(const Answer& answer) {
    std::string out = "HTTP/1.1 " + std::to_string(answer.status) + " " +
                      std::string(title_of(answer.status)) +
                      "\r\nContent-Type: " + answer.content_type +
                      "\r\nContent-Length: " +
                      std::to_string(answer.body.size()) +
                      "\r\nCache-Control: no-store\r\nConnection: close\r\n";
    if (answer.status == 405) out += "Allow: GET, HEAD\r\n";
    return out + "\r\n";
  }

  void respond(std::string text) {
    silence_.stop();
    response_ = std::move(text);
    io_.want(EV_WRITE);
    flush();
  }

  void flush() {
    while (sent_ < response_.size()) {
      const ssize_t sent =
          ::send(fd_.get(), response_.data() + sent_, response_.size() - sent_,
                 MSG_NOSIGNAL);
      if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (sent < 0) break;
      sent_ += static_cast<std::size_t>(sent);
    }
    ::shutdown(fd_.get(), SHUT_WR);
    admin_.remove(*this);
  }

  Admin& admin_;
  UniqueFd fd_;
  IoWatcher io_;
  TimerWatcher silence_;
  TimerWatcher lifetime_;
  std::string request_;
  std::string response_;
  std::size_t sent_ = 0;
};

void Admin::Listener::on_readable(int) {
  UniqueFd own(
      ::accept4(fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!own.valid()) {
    // Out of descriptors: until the sweep.
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) io.want(0);
    return;
  }
  if (admin->connections_.size() >= kConnectionsMax) return;
  admin->connections_.push_back(
      std::make_unique<Connection>(*admin, std::move(own)));
}

Admin::Admin(Loop& loop, Handler handler)
    : loop_(loop), handler_(std::move(handler)) {
  sweep_.bind<&Admin::on_sweep>(loop_, this);
}

Admin::~Admin() = default;

Status Admin::bind(const std::vector<Address>& addresses) {
  for (const Address& address : addresses) {
    if (address.is_unix()) {
      if (Status removed = remove_stale_socket(address, SOCK_STREAM);
          !removed) return removed;
    }
    auto listener = std::make_unique<Listener>();
    listener->admin = this;
    listener->fd.reset(::socket(address.family(),
                                SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int fd = listener->fd.get();
    const int on = 1;
    if (address.is_ip()) {
      ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    if (address.family() == AF_INET6) {
      ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    if (fd < 0 || ::bind(fd, address.data(), address.length()) != 0 ||
        ::listen(fd, kBacklog) != 0) {
      return failed(address, std::strerror(errno));
    }
    socket_files_.emplace_back(address);
    listeners_.push_back(std::move(listener));
  }
  return Ok{};
}

void Admin::start() {
  for (const auto& listener : listeners_) {
    listener->io.bind<&Listener::on_readable>(loop_, listener.get());
    listener->io.start(listener->fd.get(), EV_READ);
  }
  if (!listeners_.empty()) sweep_.start(kSweep_ms, kSweep_ms);
}

void Admin::on_sweep() {
  for (const auto& listener : listeners_) listener->io.want(EV_READ);
}

void Admin::remove(Connection& connection) {
  std::erase_if(connections_,
                [&](const auto& own) { return own.get() == &connection; });
}

}  // namespace fealty::legion
