#include "cli/server_link.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <random>
#include <utility>

#include "base/log.h"

namespace fealty::cli {
namespace {

bool is_full(int error) {
  return error == EAGAIN || error == ENOBUFS || error == ENOMEM;
}

// From nine tenths to all of it.
std::int64_t jittered(std::int64_t ms) {
  static std::minstd_rand random(std::random_device{}());
  std::uniform_int_distribution<std::int64_t> tenth(0, ms / 10);
  return ms - tenth(random);
}

}  // namespace

ServerLink::ServerLink(Loop& loop, const Clock& clock, const Plan& plan,
                       const ServerTarget& server, MakePacket make_packet,
                       Events events)
    : clock_(clock),
      plan_(plan),
      server_(server),
      make_packet_(std::move(make_packet)),
      events_(std::move(events)) {
  errors_.bind<&ServerLink::on_error>(loop, this);
  timer_.bind<&ServerLink::on_timer>(loop, this);
  watch_.bind<&ServerLink::on_watch>(loop, this);
}

void ServerLink::announce() {
  if (server_.address.is_unix()) watch_.start(kWatch_ms, kWatch_ms);
  begin(Mode::kAnnouncing, wire::SubscriptionCommand::kSubscribe);
}

void ServerLink::withdraw() {
  watch_.stop();
  timer_.stop();
  if (mode_ == Mode::kQuiet) return;
  begin(Mode::kWithdrawing, wire::SubscriptionCommand::kUnsubscribe);
}

void ServerLink::send_once(wire::SubscriptionCommand command) {
  begin(Mode::kOnce, command);
}

void ServerLink::begin(Mode mode, wire::SubscriptionCommand command) {
  mode_ = mode;
  command_ = command;
  rounds_ = 0;
  next_key_ = 0;
  full_since_ms_ = 0;
  awaits_word_ = false;
  send_round();
}

void ServerLink::on_timer() {
  if (!std::exchange(awaits_word_, false)) return send_round();
  mode_ = Mode::kQuiet;          // no news is good news
}

// A socket that was made anew belongs to a router that knows nobody yet.
void ServerLink::on_watch() {
  if (trouble_ != Trouble::kNone || identity() == identity_) return;
  log::info("subscribe: {} is another socket now: announcing again",
            server_.address.to_string());
  next_key_ = 0;
  send_round();
}

// Only UDP: what the kernel learnt about datagrams that went out already.
void ServerLink::on_error(int) {
  char byte = 0;
  if (::recv(fd_.get(), &byte, 1, 0) >= 0) return;
  if (errno != EAGAIN && errno != EINTR) round_broke(errno);
}

void ServerLink::send_round() {
  if (next_key_ == 0) {
    if (trouble_ != Trouble::kNone && taken_) say_fine();  // UDP: no news
    if (events_.round_begins) events_.round_begins();
    identity_ = identity();
  }
  while (next_key_ < plan_.keys.size()) {
    int error = send_one(next_key_);
    // A UDP socket first tells what became of the datagram before.
    if (error == ECONNREFUSED && server_.address.is_ip()) {
      error = send_one(next_key_);
    }
    if (error != 0) return round_broke(error);
    full_since_ms_ = 0;
    ++next_key_;
  }
  round_done();
}

int ServerLink::send_one(std::size_t key) {
  const auto packet = make_packet_(server_, key, command_);
  if (!packet) {
    if (packet.error().message != packet_problem_) {
      packet_problem_ = packet.error().message;
      log::error("subscribe: {} cannot be announced: {}", plan_.keys[key],
                 packet_problem_);
    }
    return 0;
  }
  if (!open()) return errno;
  const bool connected = server_.address.is_ip();
  const ssize_t sent = ::sendto(
      fd_.get(), packet->data(), packet->size(), MSG_DONTWAIT | MSG_NOSIGNAL,
      connected ? nullptr : server_.address.data(),
      connected ? 0 : server_.address.length());
  return sent < 0 ? errno : 0;
}

bool ServerLink::open() {
  if (fd_.valid()) return true;
  const Address& to = server_.address;
  UniqueFd fd(
      ::socket(to.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return false;
  if (to.is_ip()) {
    if (::connect(fd.get(), to.data(), to.length()) != 0) return false;
    errors_.start(fd.get(), EV_READ);
  }
  fd_ = std::move(fd);
  return true;
}

ServerLink::Identity ServerLink::identity() const {
  struct stat status{};
  const std::string path = server_.address.unix_path();
  if (!path.starts_with('/') || ::stat(path.c_str(), &status) != 0) return {};
  return {status.st_dev, status.st_ino,
          std::int64_t{status.st_ctim.tv_sec} * 1'000'000'000 +
              status.st_ctim.tv_nsec};
}

void ServerLink::round_done() {
  next_key_ = 0;
  ++rounds_;
  taken_ = true;
  if (server_.address.is_unix() && trouble_ != Trouble::kNone) say_fine();
  if (mode_ != Mode::kAnnouncing) {
    const bool again =
        mode_ == Mode::kWithdrawing && !server_.local && rounds_ == 1;
    awaits_word_ = mode_ == Mode::kOnce && server_.address.is_ip();
    if (again) {
      timer_.start(kAgain_ms);
    } else if (awaits_word_) {
      timer_.start(kWord_ms);
    } else {
      mode_ = Mode::kQuiet;
    }
    return;
  }
  timer_.start(pause_ms());
  if (events_.taken) events_.taken();
}

std::int64_t ServerLink::pause_ms() {
  const bool first = server_.address.is_ip() && rounds_ < kFirstRounds;
  if (trouble_ != Trouble::kNone) return kRetry_ms;  // UDP: is it over?
  return first ? std::min(kFirstRounds_ms, plan_.every_ms)
               : jittered(plan_.every_ms);
}

void ServerLink::round_broke(int error) {
  if (mode_ == Mode::kQuiet) return;
  if (is_full(error) && !full_for_long()) {
    timer_.start(kFull_ms);      // goes on with the same key
    return;
  }
  // An unsubscribe needs no retry: who is away has forgotten the node by itself.
  if (mode_ != Mode::kWithdrawing) say_trouble(error);
  if (is_full(error) && mode_ == Mode::kAnnouncing) {
    timer_.start(kFull_ms);
    return;
  }
  taken_ = false;
  next_key_ = 0;
  if (mode_ == Mode::kAnnouncing) {
    timer_.start(kRetry_ms);
  } else {
    awaits_word_ = false;
    timer_.stop();
    mode_ = Mode::kQuiet;
  }
}

bool ServerLink::full_for_long() {
  const std::int64_t now_ms = clock_.monotonic_ms();
  if (full_since_ms_ == 0) full_since_ms_ = now_ms;
  return now_ms - full_since_ms_ >= kFullWorthSaying_ms;
}

void ServerLink::say_trouble(int error) {
  ++failures_;
  Trouble now = Trouble::kOther;
  if (error == ENOENT || error == ECONNREFUSED) now = Trouble::kAway;
  if (error == EACCES || error == EPERM) now = Trouble::kForbidden;
  if (is_full(error)) now = Trouble::kFull;
  if (now == trouble_) return;
  trouble_ = now;
  log::warning("subscribe: {}: {}{}", server_.address.to_string(),
               explain(error),
               mode_ == Mode::kOnce ? "" : "; trying on");
}

void ServerLink::say_fine() {
  log::info("subscribe: {} takes announcements again, after {} tries",
            server_.address.to_string(), failures_);
  trouble_ = Trouble::kNone;
  failures_ = 0;
}

std::string ServerLink::explain(int error) const {
  const std::string text = std::strerror(error);
  const bool local = server_.address.is_unix();
  if (is_full(error)) {
    return "its queue stays full: the router does not keep up or is stopped "
           "(net.unix.max_dgram_qlen says how many may wait)";
  }
  switch (error) {
    case ENOENT:
      return "no such socket: the router does not run, or its "
             "subscription.servers has another path";
    case ECONNREFUSED:
      return local ? "nobody reads that socket: the router has ended"
                   : "nobody listens there: the router does not run, or its "
                     "subscription.servers has another address";
    case EACCES:
    case EPERM:
      return text + ": uid " + std::to_string(::geteuid()) +
             " may not write to it; the mode of the router's "
             "subscription.servers entry decides";
    case EPROTOTYPE:
      return "not a datagram socket: this is no subscription server";
    case EMSGSIZE:
      return "the announcement is too long for this socket";
    default:
      return text;
  }
}

}  // namespace fealty::cli
