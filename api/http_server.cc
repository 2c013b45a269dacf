#include "api/http_server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "api/http_connection.h"
#include "api/workers.h"
#include "base/clock.h"
#include "base/loop.h"

namespace fealty::api {
namespace {

constexpr int kBacklog = 1024;
constexpr int kAcceptsAtOnce = 32;
constexpr std::int64_t kTickMs = 250;
constexpr std::uint64_t kTicksOfFeed = 2;
// Answers up to this are bounded by the connections.
constexpr std::size_t kSmallBytes = 65'536;

}  // namespace

// The listener's thread, and its connections. What other threads touch is `done_`
// and `events_`, behind their lock, and the wakers.
class HttpServer::Listener final : public ConnectionOwner {
 public:
  Listener(const Settings& settings, const Handlers& handlers, UniqueFd socket)
      : settings_(settings),
        handlers_(handlers),
        socket_(std::move(socket)),
        workers_(std::make_unique<Workers>(settings.threads)) {
    arrived_.bind<&Listener::on_arrival>(loop_, this);
    tick_.bind<&Listener::on_tick>(loop_, this);
    answered_.start<&Listener::on_answers>(loop_, this);
    ended_.start<&Listener::on_end>(loop_, this);
    arrived_.start(socket_.get(), EV_READ);
    tick_.start(kTickMs, kTickMs);
  }
  ~Listener() override {
    workers_.reset();                  // they post to what goes after them
    connections_.clear();
  }

  void run() { loop_.run(); }
  // Any thread.
  void end() { ended_.send(); }
  // Before end(), any thread.
  void leave() { left_ = true; }

  void complete(Answer& answer) override {
    handlers_.complete(settings_.entrance, answer);
  }
  // Who follows has bounds of his own (may_follow()): a network of servers would shut
  // itself out.
  bool may_enter(const std::string& network) override {
    if (network.empty()) return true;
    const auto there = std::count_if(
        connections_.begin(), connections_.end(), [&](const auto& entry) {
          return entry.second->network() == network && !entry.second->follows();
        });
    return static_cast<std::size_t>(there) < settings_.per_network;
  }

  void hand_over(std::shared_ptr<Exchange> exchange, bool whole) override {
    workers_->add([this, whole, exchange = std::move(exchange)] {
      if (whole) {
        exchange->answer = handlers_.answer(exchange->request);
      } else {
        exchange->answer = handlers_.admit(exchange->request);
      }
      post(exchange);
    });
  }

  bool may_wait(const std::string& network, std::size_t bytes) override {
    if (bytes <= kSmallBytes) return true;
    // The one that asks has its answer already.
    std::size_t of_all = 0;
    std::size_t of_network = 0;
    for (const auto& [id, one] : connections_) {
      of_all += one->waiting();
      if (one->network() == network) of_network += one->waiting();
    }
    return of_all <= kWaitingBytesMax && of_network <= kNetworkWaitingMax;
  }

  bool may_follow(const Audience& audience) override {
    if (ending_) return false;
    std::size_t followers = 0;
    std::size_t of_this = 0;
    for (const auto& [id, one] : connections_) {
      if (!one->follows()) continue;
      ++followers;
      if (one->following().audience == audience) ++of_this;
    }
    const bool is_server = audience.kind == Audience::Kind::kServer;
    const std::size_t reserve = is_server ? 0 : settings_.followers / 4;
    return of_this < kFollowersEach && followers < settings_.followers - reserve;
  }

  void on_closed(HttpConnection& connection) override {
    // It is in one of its own functions.
    auto node = connections_.extract(connection.id());
    gone_.push_back(std::move(node.mapped()));
    take_or_end();
  }

 private:
  void on_arrival(int) {
    gone_.clear();
    for (int i = 0; i < kAcceptsAtOnce; ++i) {
      if (connections_.size() >= settings_.connections) return arrived_.want(0);
      const int error = accept_one();
      if (error == EAGAIN) return;
      // No descriptors, as a rule: until the next tick.
      if (error != 0) return arrived_.want(0);
    }
  }

  // 0, or what was in its way.
  int accept_one() {
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    UniqueFd socket(::accept4(socket_.get(), reinterpret_cast<sockaddr*>(&from),
                              &length, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.valid()) return errno;
    open(std::move(socket), reinterpret_cast<const sockaddr*>(&from), length);
    return 0;
  }

  void open(UniqueFd socket, const sockaddr* from, socklen_t length) {
    Peer peer{settings_.entrance, settings_.address, true};
    if (!settings_.address.is_unix()) {
      peer.address = Address::from_sockaddr(from, length);
      peer.trusted = settings_.trusts && settings_.trusts(peer.address);
    }
    auto connection = std::make_unique<HttpConnection>(
        *this, loop_, ++last_id_, std::move(socket), std::move(peer),
        coarse_monotonic_ms());
    connections_.emplace(last_id_, std::move(connection));
  }

  // The threads'.
  void post(std::shared_ptr<Exchange> exchange) {
    {
      const std::lock_guard lock(mutex_);
      done_.push_back(std::move(exchange));
    }
    answered_.send();
  }

  void on_answers() {
    gone_.clear();
    std::vector<std::shared_ptr<Exchange>> done;
    std::optional<std::vector<Event>> events;
    {
      const std::lock_guard lock(mutex_);
      done.swap(done_);
      events.swap(events_);
    }
    const std::int64_t now_ms = coarse_monotonic_ms();
    if (events) feed(*events, now_ms);
    for (auto& exchange : done) {
      const auto found = connections_.find(exchange->connection);
      if (found != connections_.end()) {
        found->second->take(std::move(exchange), now_ms);
      }
    }
  }

  void on_tick() {
    gone_.clear();
    const std::int64_t now_ms = coarse_monotonic_ms();
    for_all([&](HttpConnection& one) { one.look_at_deadline(now_ms); });
    if (++ticks_ % kTicksOfFeed == 0) ask_for_events();
    take_or_end();
  }

  // Those after the last one that every follower has.
  void ask_for_events() {
    std::optional<std::int64_t> after;
    for (const auto& [id, one] : connections_) {
      if (!one->follows()) continue;
      after = std::min(after.value_or(one->following().last_id),
                       one->following().last_id);
    }
    if (!after || asked_after_) return;
    asked_after_ = after;
    workers_->add([this, after = *after] {
      std::vector<Event> events = handlers_.events(after);
      {
        const std::lock_guard lock(mutex_);
        events_ = std::move(events);
      }
      answered_.send();
    });
  }

  void feed(const std::vector<Event>& events, std::int64_t now_ms) {
    const std::int64_t after = *std::exchange(asked_after_, std::nullopt);
    for_all([&](HttpConnection& one) {
      // Who came since with less has to be asked for anew.
      if (one.follows() && one.following().last_id >= after) {
        one.feed(events, now_ms);
      }
    });
  }

  void on_end() {
    ending_ = true;
    arrived_.stop();
    gone_.clear();
    // What the kernel has taken already was promised an answer, however many.
    while (!left_ && accept_one() == 0) {}
    socket_.reset();
    const std::int64_t now_ms = coarse_monotonic_ms();
    for_all([&](HttpConnection& one) { one.hurry(now_ms, !left_); });
    take_or_end();
  }

  void take_or_end() {
    if (ending_ && connections_.empty()) return loop_.stop();
    if (!ending_) arrived_.want(EV_READ);
  }

  // Visits may close.
  template <typename Visit>
  void for_all(Visit visit) {
    std::vector<HttpConnection*> all;
    for (const auto& [id, connection] : connections_) all.push_back(connection.get());
    for (HttpConnection* const one : all) visit(*one);
  }

  const Settings& settings_;
  const Handlers& handlers_;
  UniqueFd socket_;
  Loop loop_;
  IoWatcher arrived_;
  TimerWatcher tick_;
  AsyncWatcher answered_;
  AsyncWatcher ended_;
  bool ending_ = false;
  std::atomic<bool> left_{false};      // to a successor
  std::uint64_t last_id_ = 0;
  std::uint64_t ticks_ = 0;
  std::optional<std::int64_t> asked_after_;   // the events that are awaited
  std::unordered_map<std::uint64_t, std::unique_ptr<HttpConnection>> connections_;
  std::vector<std::unique_ptr<HttpConnection>> gone_;   // until the next turn
  std::mutex mutex_;
  std::vector<std::shared_ptr<Exchange>> done_;
  std::optional<std::vector<Event>> events_;
  std::unique_ptr<Workers> workers_;
};

HttpServer::HttpServer(Settings settings, Handlers handlers)
    : settings_(std::move(settings)), handlers_(std::move(handlers)) {}

HttpServer::~HttpServer() { stop(); }

void HttpServer::inherit(UniqueFd socket) {
  ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC);
  socket_ = std::move(socket);
  number_ = socket_.get();
}

void HttpServer::own_file() { file_ = SocketFile(settings_.address); }

void HttpServer::leave() {
  file_.leave();
  if (listener_) listener_->leave();
}

Status HttpServer::bind() {
  if (socket_.valid()) {
    const std::string path = settings_.address.unix_path();
    if (!path.starts_with('/') || set_socket_mode(path, settings_.mode)) return Ok{};
    return Error{"cannot set the mode of " + path + ": " + std::strerror(errno)};
  }
  const Address& address = settings_.address;
  const auto failed = [&] {
    return Error{"cannot listen on " + address.to_string() + ": " +
                 std::strerror(errno)};
  };
  Status stale = remove_stale_socket(address, SOCK_STREAM);
  if (!stale) return stale;
  socket_.reset(::socket(address.family(),
                         SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_.valid()) return failed();
  const int on = 1;
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  // The file never has more rights than it is to have.
  const mode_t umask = ::umask(0777);
  const int bound = ::bind(socket_.get(), address.data(), address.length());
  ::umask(umask);
  if (bound != 0) return failed();
  file_ = SocketFile(address);
  const std::string path = address.unix_path();
  if (path.starts_with('/') && ::chmod(path.c_str(), settings_.mode) != 0) {
    return failed();
  }
  if (::listen(socket_.get(), kBacklog) != 0) return failed();
  number_ = socket_.get();
  return Ok{};
}

void HttpServer::start() {
  listener_ = std::make_unique<Listener>(settings_, handlers_, std::move(socket_));
  thread_ = std::thread([this] { listener_->run(); });
}

void HttpServer::stop() {
  if (!thread_.joinable()) return;
  listener_->end();
  thread_.join();
  listener_.reset();
}

}  // namespace fealty::api
