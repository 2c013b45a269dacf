#include "router/health.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "router/node_connect.h"
#include "subscription/key.h"
#include "subscription/pool_index.h"

namespace fealty::router {
namespace {

using subscription::NodeRecord;

bool is_asked(const NodeRecord& node) {
  return node.protocol == subscription::Protocol::kHttp && !node.sleeping;
}

std::string request_for(const NodeRecord& node, std::string_view path) {
  std::string_view host = subscription::without_mountpoint(node.pool->key());
  if (host.starts_with('.')) host.remove_prefix(1);
  return fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: fealty-router\r\n"
      "Connection: close\r\n\r\n",
      path, host);
}

// 100 to 599 of a status line's beginning, "HTTP/1.x NNN"; 0: it is none.
constexpr std::size_t kStatusBytes = 12;
int status_of(std::string_view line) {
  if (!line.starts_with("HTTP/1.") || line[8] != ' ') return 0;
  int status = 0;
  for (const char c : line.substr(9, 3)) {
    if (c < '0' || c > '9') return 0;
    status = status * 10 + (c - '0');
  }
  return status >= 100 && status <= 599 ? status : 0;
}

}  // namespace

// One question to one node. Idle where `node_` is null; then it may be asked to
// begin again.
class HealthChecker::Probe {
 public:
  explicit Probe(HealthChecker& checker) : checker_(checker) {
    io_.bind<&Probe::on_event>(checker.loop_, this);
  }
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;
  ~Probe() { io_.stop(); }

  [[nodiscard]] bool idle() const { return node_ == nullptr; }
  [[nodiscard]] NodeRecord& node() const { return *node_; }

  void begin(NodeRef node, std::int64_t deadline_ms) {
    node_ = std::move(node);
    deadline_ms_ = deadline_ms;
    request_ = request_for(*node_, checker_.options_.path);
    received_ = 0;
    connect();
  }
  // What time brings: another try at a full backlog, or the end.
  void on_tick(std::int64_t now_ms) {
    if (now_ms >= deadline_ms_) return end(false, "no answer in time");
    if (!fd_.valid()) connect();
  }
  NodeRef finish() {
    io_.stop();
    fd_.reset();
    return std::exchange(node_, NodeRef());
  }

 private:
  void end(bool good, std::string_view why) {
    checker_.on_answer(*this, good, why);
  }

  void connect() {
    const Address address = node_->address();
    fd_.reset(::socket(address.family(),
                       SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd_.valid()) return;  // the next tick tries again
    const int error =
        connect_node(fd_.get(), address, checker_.path_prefixes_);
    if (error == 0 || error == EINPROGRESS) {
      return io_.start(fd_.get(), EV_WRITE);
    }
    fd_.reset();
    if (error == EAGAIN) return;  // a Unix socket's backlog is full
    end(false, std::strerror(error));
  }

  void on_event(int events) {
    if ((events & EV_WRITE) != 0) {
      send();
    } else {
      receive();
    }
  }

  void send() {
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return end(false, std::strerror(error));
    const ssize_t sent = ::send(fd_.get(), request_.data(), request_.size(),
                                MSG_DONTWAIT | MSG_NOSIGNAL);
    // A new connection has room for so little.
    if (sent != static_cast<ssize_t>(request_.size())) {
      return end(false, "it takes no request");
    }
    io_.start(fd_.get(), EV_READ);
  }

  void receive() {
    std::array<char, 512> piece;
    const ssize_t got =
        ::recv(fd_.get(), piece.data(), piece.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got < 0) return end(false, std::strerror(errno));
    if (got == 0) return end(false, "it closed the connection");
    for (std::size_t i = 0; i < static_cast<std::size_t>(got); ++i) {
      if (passes_over_) {
        pass_over(piece[i]);
        continue;
      }
      answer_[received_++] = piece[i];
      if (received_ < answer_.size()) continue;
      const int status = status_of({answer_.data(), answer_.size()});
      if (status < 100 || status >= 200 || status == 101) return judge(status);
      // Hints, and what else comes before the answer.
      passes_over_ = true;
      line_is_empty_ = false;
    }
  }

  // To the end of a head.
  void pass_over(char c) {
    if (c == '\n' && line_is_empty_) {
      passes_over_ = false;
      received_ = 0;
    }
    line_is_empty_ = c == '\n' || (c == '\r' && line_is_empty_);
  }

  void judge(int status) {
    if (status >= 200 && status <= 399) return end(true, "");
    end(false, status == 0 ? std::string("it does not speak HTTP/1")
                           : "it answered " + std::to_string(status));
  }

  HealthChecker& checker_;
  NodeRef node_;
  UniqueFd fd_;
  IoWatcher io_;
  std::int64_t deadline_ms_ = 0;
  std::string request_;
  std::array<char, kStatusBytes> answer_{};
  std::size_t received_ = 0;
  bool passes_over_ = false;         // the rest of a head before the answer's
  bool line_is_empty_ = false;
};

HealthChecker::HealthChecker(Loop& loop, const Clock& clock,
                             const subscription::Table& table,
                             HealthCheck options,
                             std::vector<std::string> path_prefixes)
    : loop_(loop), clock_(clock), table_(table),
      options_(std::move(options)),
      path_prefixes_(std::move(path_prefixes)) {
  tick_.bind<&HealthChecker::on_tick>(loop, this);
}

HealthChecker::~HealthChecker() = default;

void HealthChecker::start() {
  round_began_ms_ = clock_.monotonic_ms();
  next_shard_ = 0;
  tick_.start(0, kTick_ms);
}

void HealthChecker::stop() {
  tick_.stop();
  waiting_.clear();
  for (const auto& probe : probes_) {
    if (!probe->idle()) static_cast<void>(probe->finish());
  }
  probing_ = 0;
}

void HealthChecker::on_tick() {
  const std::int64_t now_ms = clock_.monotonic_ms();
  for (const auto& probe : probes_) {
    if (!probe->idle()) probe->on_tick(now_ms);
  }
  // What waits comes first: a walk that cannot keep up waits for it.
  if (waiting_.empty()) walk(now_ms);
  begin_probes(now_ms);
}

// Up to the shard that is due by now; a round that is over begins anew.
void HealthChecker::walk(std::int64_t now_ms) {
  const std::int64_t passed_ms = now_ms - round_began_ms_;
  const auto due = static_cast<std::size_t>(
      std::min(passed_ms, options_.interval_ms) *
      static_cast<std::int64_t>(kShards) / options_.interval_ms);
  while (next_shard_ < due && waiting_.size() < kProbesMost) {
    table_.visit_nodes(next_shard_++, 1, [this](NodeRecord& node) {
      if (is_asked(node)) waiting_.push_back(NodeRef::share(&node));
    });
  }
  if (next_shard_ < kShards) return;
  next_shard_ = 0;
  round_began_ms_ = now_ms;
  forget_departed();
}

void HealthChecker::begin_probes(std::int64_t now_ms) {
  for (std::size_t i = 0; !waiting_.empty() && i < kProbesMost; ++i) {
    if (i == probes_.size()) probes_.push_back(std::make_unique<Probe>(*this));
    if (!probes_[i]->idle()) continue;
    NodeRef node = std::move(waiting_.front());
    waiting_.pop_front();
    if (node->pool == nullptr || !is_asked(*node)) continue;  // it left
    ++probing_;
    probes_[i]->begin(std::move(node), now_ms + options_.timeout_ms);
  }
}

void HealthChecker::on_answer(Probe& probe, bool good, std::string_view why) {
  const NodeRef node = probe.finish();
  --probing_;
  ++(good ? counters_.passed : counters_.failed);
  if (node->pool != nullptr) judge(*node, good, why);
}

void HealthChecker::judge(NodeRecord& node, bool good, std::string_view why) {
  if (good == node.healthy()) {
    streaks_.erase(&node);
    return;
  }
  Streak& streak = streaks_[&node];
  if (streak.node == nullptr) streak.node = NodeRef::share(&node);
  if (++streak.answers < (good ? options_.rise : options_.fall)) return;
  node.set_checked(good);
  say(node, good, why);
  streaks_.erase(&node);
}

void HealthChecker::say(const NodeRecord& node, bool good,
                        std::string_view why) {
  using Verdict = log::LineBudget::Verdict;
  const Verdict verdict = lines_.ask(clock_.monotonic_ms());
  const std::string_view key = node.pool->key();
  if (verdict == Verdict::kSayMore) {
    log::info("health: more nodes change; not listed this second");
  } else if (verdict == Verdict::kWrite && good) {
    log::info("health: {} node {} is well again", key,
              log::printable(node.name()));
  } else if (verdict == Verdict::kWrite) {
    log::warning("health: {} node {} is ill: {}", key,
                 log::printable(node.name()), why);
  }
}

void HealthChecker::forget_departed() {
  std::erase_if(streaks_, [](const auto& entry) {
    return entry.second.node->pool == nullptr;
  });
}

}  // namespace fealty::router
