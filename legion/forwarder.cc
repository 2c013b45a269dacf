#include "legion/forwarder.h"

#include <netinet/in.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/fd.h"
#include "base/socket_file.h"

namespace fealty::legion {
namespace {

constexpr std::int64_t kLogInterval_ms = 1000;
constexpr std::int64_t kRetry_ms = 1;
// One byte more than any datagram has, so that one that is cut shows.
constexpr std::size_t kBufferBytes = 64 * 1024 + 1;
// For what comes in at once when a server starts.
constexpr int kReceiveBufferBytes = 4 * 1024 * 1024;
constexpr uid_t kNobodyKnown = static_cast<uid_t>(-1);

Error failed(std::string_view what, const Address& address) {
  return Error{"forwarder: cannot " + std::string(what) + " " +
               address.to_string() + ": " + std::strerror(errno)};
}

void set_option(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof value);
}

std::optional<uid_t> uid_of(const std::string& user) {
  if (user.find_first_not_of("0123456789") == user.npos) {
    return static_cast<uid_t>(std::stoul(user));
  }
  const passwd* const entry = ::getpwnam(user.c_str());
  if (entry == nullptr) return std::nullopt;
  return entry->pw_uid;
}

uid_t sender_of(msghdr& message) {
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr;
       at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_CREDENTIALS) {
      continue;
    }
    ucred sender{};
    std::memcpy(&sender, CMSG_DATA(at), sizeof sender);
    return sender.uid;
  }
  return kNobodyKnown;
}

std::string text_of(const Address& address) {
  const std::string text = address.to_string();
  return text.empty() ? "an unnamed socket" : log::printable(text);
}

template <std::size_t... I>
std::array<log::Limiter, sizeof...(I)> limiters(std::index_sequence<I...>) {
  return {((void)I, log::Limiter(kLogInterval_ms))...};
}

}  // namespace

// One socket, and whom it is bound to: nobody, if it only sends.
struct Forwarder::Socket {
  Address address;
  UniqueFd fd;
  SocketFile file;
};

// Of one secret.
struct Forwarder::Keys {
  explicit Keys(std::string_view secret)
      : sealer(secret), opener(secret, sealer.boot()) {}
  ForwardSealer sealer;
  ForwardOpener opener;
};

Forwarder::Forwarder(Loop& loop, const Clock& clock, ForwarderOptions options,
                     const Forwarder* before)
    : loop_(loop),
      clock_(clock),
      options_(std::move(options)),
      before_(before),
      buffer_(kBufferBytes),
      drop_log_(limiters(std::make_index_sequence<
                         static_cast<std::size_t>(ForwardDrop::kCount)>())),
      fail_log_(kLogInterval_ms) {
  listens_.bind<&Forwarder::on_listen>(loop_, this);
  receives_.bind<&Forwarder::on_receive>(loop_, this);
  retry_.bind<&Forwarder::on_retry>(loop_, this);
  if (before_ != nullptr) counters_ = before_->counters_;
  const bool same_secret =
      before_ != nullptr && before_->options_.secret == options_.secret;
  keys_ = same_secret ? before_->keys_
                      : std::make_shared<Keys>(options_.secret);
}

Forwarder::~Forwarder() = default;

std::size_t Forwarder::senders() const { return keys_->opener.senders(); }

// One that is bound there already, or a new one.
Result<std::shared_ptr<Forwarder::Socket>> Forwarder::socket_for(
    const Address& address) const {
  const auto is_it = [&](const std::shared_ptr<Socket>& socket) {
    return socket != nullptr &&
           socket->address.to_string() == address.to_string();
  };
  if (is_it(receive_)) return receive_;
  if (before_ != nullptr) {
    for (const auto& socket :
         {before_->listen_, before_->receive_, before_->send_}) {
      if (is_it(socket)) return socket;
    }
  }
  if (address.is_unix()) {
    const Status removed = remove_stale_socket(address, SOCK_DGRAM);
    if (!removed) return Error{"forwarder: " + removed.error().message};
  }
  auto socket = std::make_shared<Socket>();
  socket->fd.reset(::socket(address.family(),
                            SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int fd = socket->fd.get();
  if (address.family() == AF_INET6) {
    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  }
  if (fd < 0 || ::bind(fd, address.data(), address.length()) != 0) {
    return failed("bind to", address);
  }
  socket->address = address;
  socket->file = SocketFile(address);
  set_option(fd, SOL_SOCKET, SO_RCVBUF, kReceiveBufferBytes);
  set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, kReceiveBufferBytes);
  return socket;
}

Status Forwarder::bind() {
  const auto bind_to = [this](const std::optional<Address>& address,
                              std::shared_ptr<Socket>& out) -> Status {
    if (!address) return Ok{};
    auto socket = socket_for(*address);
    if (!socket) return socket.error();
    out = *std::move(socket);
    return Ok{};
  };
  const auto unbound = [](const Address& peer) {
    auto socket = std::make_shared<Socket>();
    socket->fd.reset(::socket(peer.family(),
                              SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    return socket;
  };
  if (Status done = bind_to(options_.receive, receive_); !done) return done;
  if (Status done = bind_to(options_.listen, listen_); !done) return done;
  if (Status done = bind_to(options_.send_from, send_); !done) return done;
  if (send_ == nullptr && !options_.to.empty()) {
    send_ = unbound(options_.to.front());
    if (!send_->fd.valid()) return failed("send to", options_.to.front());
  }
  if (options_.deliver) {
    deliver_ = unbound(*options_.deliver);
    if (!deliver_->fd.valid()) return failed("send to", *options_.deliver);
  }
  if (Status done = bind_listen(); !done) return done;
  before_ = nullptr;
  return Ok{};
}

// Everybody may write to a Unix socket of that mode: the kernel says who did.
Status Forwarder::bind_listen() {
  if (listen_ == nullptr || !listen_->address.is_unix()) return Ok{};
  set_option(listen_->fd.get(), SOL_SOCKET, SO_PASSCRED, 1);
  const std::string path = listen_->address.unix_path();
  if (path.starts_with('/') &&
      !set_socket_mode(path, options_.listen_mode)) {
    return failed("set the mode of", listen_->address);
  }
  return Ok{};
}

// Root's and this user's own count as well: either could speak for the forwarder
// anyway.
void Forwarder::resolve_users() {
  users_ = {0, ::geteuid()};
  for (const std::string& user : options_.listen_users) {
    const auto uid = uid_of(user);
    if (uid) {
      users_.push_back(*uid);
    } else {
      log::warning("forwarder: no user '{}' of listen_users", user);
    }
  }
}

void Forwarder::start() {
  resolve_users();
  keys_->opener.set_tolerance(options_.skew_tolerance_s);
  if (listen_ != nullptr) listens_.start(listen_->fd.get(), EV_READ);
  if (receive_ != nullptr) receives_.start(receive_->fd.get(), EV_READ);
}

bool Forwarder::read(const Socket& socket, std::string_view& datagram,
                     uid_t& sender, Address& from) {
  sockaddr_storage name{};
  iovec part{buffer_.data(), buffer_.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
  msghdr message{};
  message.msg_name = &name;
  message.msg_namelen = sizeof name;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket.fd.get(), &message,
                    MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return false;
  datagram = {buffer_.data(), static_cast<std::size_t>(got)};
  sender = sender_of(message);
  from = Address::from_sockaddr(reinterpret_cast<sockaddr*>(&name),
                                message.msg_namelen);
  return true;
}

void Forwarder::on_listen(int) {
  std::string_view datagram;
  uid_t sender = kNobodyKnown;
  Address from;
  for (int i = 0; i < kPerTurn && read(*listen_, datagram, sender, from); ++i) {
    forward(datagram, sender, from);
  }
}

void Forwarder::on_receive(int) {
  std::string_view datagram;
  uid_t sender = kNobodyKnown;
  Address from;
  for (int i = 0; i < kPerTurn && waiting_.empty() &&
                  read(*receive_, datagram, sender, from);
       ++i) {
    deliver(datagram, from);
  }
}

void Forwarder::forward(std::string_view packet, uid_t sender,
                        const Address& from) {
  const bool known =
      !listen_->address.is_unix() ||
      std::find(users_.begin(), users_.end(), sender) != users_.end();
  if (!known) return drop(ForwardDrop::kStranger, from);
  const auto marked = mark_forwarded(packet);
  if (!marked) return drop(marked.error(), from);
  ++counters_.taken;
  const std::string datagram =
      keys_->sealer.seal(marked.value(), clock_.unix_s());
  for (const Address& to : options_.to) {
    if (::sendto(send_->fd.get(), datagram.data(), datagram.size(),
                 MSG_DONTWAIT, to.data(), to.length()) >= 0) {
      ++counters_.sent;
    } else {
      fail(counters_.send_errors, "sent", to);
    }
  }
}

void Forwarder::deliver(std::string_view datagram, const Address& from) {
  ++counters_.received;
  auto packet =
      keys_->opener.open(datagram, clock_.monotonic_ms(), clock_.unix_s());
  if (!packet) return drop(packet.error(), from);
  if (!is_forwarded(packet.value())) {
    return drop(ForwardDrop::kNotSubscription, from);
  }
  if (hand_over(packet.value())) return;
  waiting_ = *std::move(packet);
  waits_until_ms_ = clock_.monotonic_ms() + kPatience_ms;
  receives_.want(0);
  retry_.start(kRetry_ms, kRetry_ms);
}

bool Forwarder::hand_over(std::string_view packet) {
  const Address& to = *options_.deliver;
  if (::sendto(deliver_->fd.get(), packet.data(), packet.size(),
               MSG_DONTWAIT | MSG_NOSIGNAL, to.data(), to.length()) >= 0) {
    ++counters_.delivered;
    return true;
  }
  const bool full = errno == EAGAIN || errno == EWOULDBLOCK;
  const bool may_wait =
      waiting_.empty() || clock_.monotonic_ms() < waits_until_ms_;
  if (full && may_wait) return false;
  fail(counters_.undelivered, "delivered", to);
  return true;
}

void Forwarder::on_retry() {
  if (!hand_over(waiting_)) return;
  waiting_.clear();
  retry_.stop();
  receives_.want(EV_READ);
}

void Forwarder::drop(ForwardDrop reason, const Address& from) {
  const auto place = static_cast<std::size_t>(reason);
  ++counters_.drops[place];
  std::uint64_t left_out = 0;
  if (!drop_log_[place].allow(clock_.monotonic_ms(), &left_out)) return;
  log::warning("forwarder: datagram dropped ({}) from {}{}", to_string(reason),
               text_of(from),
               left_out == 0 ? ""
                             : fmt::format("; {} more since the last line",
                                           left_out));
}

void Forwarder::fail(std::uint64_t& counter, std::string_view what,
                     const Address& to) {
  const int error = errno;
  ++counter;
  std::uint64_t left_out = 0;
  if (!fail_log_.allow(clock_.monotonic_ms(), &left_out)) return;
  log::warning("forwarder: not {} to {}: {}", what, text_of(to),
               std::strerror(error));
}

}  // namespace fealty::legion
