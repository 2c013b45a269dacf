#include "legion/forwarder.h"

#include <netinet/in.h>
#include <openssl/crypto.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include "base/datagram.h"
#include "base/fd.h"
#include "base/secret_file.h"
#include "base/socket_file.h"
#include "wire/uwsgi_packet.h"

namespace fealty::legion {
namespace {

constexpr std::int64_t kLogInterval_ms = 1000;
constexpr std::int64_t kSendAgain_ms = 1;
constexpr std::size_t kKeyBytesShown = 255;
// One byte more than any datagram has, so that one that is cut shows.
constexpr std::size_t kBufferBytes = 64 * 1024 + 1;
// For what comes in, and goes out, at once when a server starts.
constexpr int kSocketBufferBytes = 4 * 1024 * 1024;
Error forwarder_failed(std::string_view what, const Address& address) {
  return Error{"forwarder: cannot " + std::string(what) + " " +
               address.to_string() + ": " + std::strerror(errno)};
}

void set_option(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof value);
}

std::optional<uid_t> uid_of(const std::string& user) {
  uid_t uid = 0;
  const char* const end = user.data() + user.size();
  const auto number = std::from_chars(user.data(), end, uid);
  if (number.ec == std::errc{} && number.ptr == end) return uid;
  const passwd* const entry = ::getpwnam(user.c_str());
  if (entry == nullptr) return std::nullopt;
  return entry->pw_uid;
}

std::string text_of(const Address& address) {
  const std::string text = address.to_string();
  return text.empty() ? "an unnamed socket" : log::printable(text);
}

std::string more_text(std::uint64_t left_out) {
  if (left_out == 0) return "";
  return fmt::format("; {} more since the last line", left_out);
}

// Of a subscription packet, for the log.
std::string_view key_of(std::string_view packet) {
  wire::UwsgiPairReader reader(
      packet.substr(std::min(packet.size(), wire::kUwsgiHeaderBytes)));
  wire::UwsgiPair pair;
  while (reader.next(pair) == wire::UwsgiPairReader::Step::kPair) {
    if (pair.key == "key") return pair.value.substr(0, kKeyBytesShown);
  }
  return {};
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
      send_log_(kLogInterval_ms),
      deliver_log_(kLogInterval_ms) {
  listens_.bind<&Forwarder::on_listen>(loop_, this);
  receives_.bind<&Forwarder::on_receive>(loop_, this);
  retry_.bind<&Forwarder::on_retry>(loop_, this);
  if (before_ != nullptr) {
    counters_ = before_->counters_;
    if (!before_->waiting_.empty()) ++counters_.undelivered;
  }
  const bool same_secret =
      before_ != nullptr && before_->options_.secret == options_.secret;
  keys_ = same_secret ? before_->keys_
                      : std::make_shared<Keys>(options_.secret);
}

Forwarder::~Forwarder() { wipe(waiting_); }

std::size_t Forwarder::senders() const {
  return keys_->opener.senders(clock_.monotonic_ms());
}

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
  socket->fd = datagram_socket(address.family());
  const int fd = socket->fd.get();
  if (address.family() == AF_INET6) {
    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  }
  if (fd < 0 || ::bind(fd, address.data(), address.length()) != 0) {
    return forwarder_failed("bind to", address);
  }
  socket->address = address;
  socket->file = SocketFile(address);
  raise_receive_buffer(fd, kSocketBufferBytes);
  raise_send_buffer(fd, kSocketBufferBytes);
  return socket;
}

Status Forwarder::bind() {
  Status done = bind_all();
  before_ = nullptr;
  return done;
}

Status Forwarder::bind_all() {
  const auto bind_to = [this](const std::optional<Address>& address,
                              std::shared_ptr<Socket>& out) -> Status {
    if (!address) return Ok{};
    auto socket = socket_for(*address);
    if (!socket) return socket.error();
    out = *std::move(socket);
    return Ok{};
  };
  // First what only root may be able to make: it stays for another attempt.
  if (Status done = bind_to(options_.listen, listen_); !done) return done;
  if (Status done = bind_listen(); !done) return done;
  if (Status done = bind_to(options_.receive, receive_); !done) return done;
  if (Status done = bind_to(options_.send_from, send_); !done) return done;
  if (Status done = open_unbound(); !done) return done;
  return Ok{};
}

// The sockets that only send.
Status Forwarder::open_unbound() {
  const auto open = [](const Address& peer, std::shared_ptr<Socket>& out) {
    out = std::make_shared<Socket>();
    out->fd = datagram_socket(peer.family());
    if (!out->fd.valid()) return false;
    raise_send_buffer(out->fd.get(), kSocketBufferBytes);
    return true;
  };
  if (send_ == nullptr && !options_.to.empty() &&
      !open(options_.to.front(), send_)) {
    return forwarder_failed("send to", options_.to.front());
  }
  if (options_.deliver && !open(*options_.deliver, deliver_)) {
    return forwarder_failed("send to", *options_.deliver);
  }
  return Ok{};
}

// Whoever may write there may fill it; whose packets count, the kernel says.
Status Forwarder::bind_listen() {
  if (listen_ == nullptr) return Ok{};
  set_option(listen_->fd.get(), SOL_SOCKET, SO_PASSCRED, 1);
  const std::string path = listen_->address.unix_path();
  if (!path.starts_with('/')) return Ok{};
  const bool is_given = !options_.listen_group.empty();
  const std::string group = is_given ? options_.listen_group : senders_group();
  const Status set = set_socket_group(path, group);
  if (!set && is_given) return Error{"forwarder: " + set.error().message};
  if (!set) {
    log::warning("forwarder: {}: {} may be unable to write there",
                 set.error().message, options_.listen_users.front());
  }
  if (set_socket_mode(path, options_.listen_mode)) return Ok{};
  return forwarder_failed("set the mode of", listen_->address);
}

// The main group of the first of them.
std::string Forwarder::senders_group() const {
  if (options_.listen_users.empty()) return "";
  const auto uid = uid_of(options_.listen_users.front());
  const passwd* const user = uid ? ::getpwuid(*uid) : nullptr;
  const group* const its = user != nullptr ? ::getgrgid(user->pw_gid) : nullptr;
  return its != nullptr ? its->gr_name : "";
}

// Root and this user could speak for the forwarder anyway.
void Forwarder::resolve_users() {
  users_ = {0, ::geteuid()};
  for (const std::string& user : options_.listen_users) {
    if (const auto uid = uid_of(user)) {
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

std::optional<Forwarder::Datagram> Forwarder::read(const Socket& socket) {
  sockaddr_storage name{};
  iovec part{buffer_.data(), buffer_.size()};
  alignas(cmsghdr) char control[kSenderControlBytes];
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
  if (got < 0) return std::nullopt;
  Datagram datagram;
  datagram.bytes = {buffer_.data(), static_cast<std::size_t>(got)};
  if (const auto sender = sender_of(message)) datagram.sender = sender->uid;
  datagram.from = Address::from_sockaddr(reinterpret_cast<sockaddr*>(&name),
                                         message.msg_namelen);
  return datagram;
}

void Forwarder::on_listen(int) {
  const int sends = std::max(1, static_cast<int>(options_.to.size()));
  const int most = std::clamp(kSendsPerTurn / sends, 1, kPerTurn);
  for (int i = 0; i < most; ++i) {
    const auto datagram = read(*listen_);
    if (!datagram) return;
    forward(*datagram);
    OPENSSL_cleanse(buffer_.data(), datagram->bytes.size());
  }
}

void Forwarder::on_receive(int) {
  for (int i = 0; i < kPerTurn && waiting_.empty(); ++i) {
    const auto datagram = read(*receive_);
    if (!datagram) return;
    deliver(*datagram);
  }
}

void Forwarder::forward(const Datagram& datagram) {
  const bool known =
      datagram.sender && std::find(users_.begin(), users_.end(),
                                   *datagram.sender) != users_.end();
  if (!known) return drop(ForwardDrop::kStranger, datagram.from);
  auto marked = mark_forwarded(datagram.bytes);
  if (!marked) {
    return drop(marked.error(), datagram.from, key_of(datagram.bytes));
  }
  ++counters_.taken;
  send_to_all(keys_->sealer.seal(marked.value(), clock_.unix_s()));
  wipe(*marked);
}

// Not always in the same order: what a full buffer refuses is not always the last
// one's.
void Forwarder::send_to_all(std::string_view sealed) {
  const std::size_t count = options_.to.size();
  if (count == 0) return;
  first_to_ = (first_to_ + 1) % count;
  for (std::size_t i = 0; i < count; ++i) {
    const Address& to = options_.to[(first_to_ + i) % count];
    if (::sendto(send_->fd.get(), sealed.data(), sealed.size(), MSG_DONTWAIT,
                 to.data(), to.length()) >= 0) {
      ++counters_.sent;
    } else {
      fail(counters_.send_errors, send_log_, "sent", to);
    }
  }
}

void Forwarder::deliver(const Datagram& datagram) {
  ++counters_.received;
  auto packet = keys_->opener.open(datagram.bytes, clock_.monotonic_ms(),
                                   clock_.unix_s());
  if (!packet) return drop(packet.error(), datagram.from);
  if (!is_forwarded(packet.value())) {
    drop(ForwardDrop::kNotSubscription, datagram.from);
  } else if (!hand_over(packet.value())) {
    waiting_ = *std::move(packet);
    waits_until_ms_ = clock_.monotonic_ms() + kPatience_ms;
    receives_.want(0);
    retry_.start(kSendAgain_ms, kSendAgain_ms);
    return;
  }
  wipe(*packet);
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
  fail(counters_.undelivered, deliver_log_, "delivered", to);
  return true;
}

void Forwarder::on_retry() {
  if (!hand_over(waiting_)) return;
  wipe(waiting_);
  retry_.stop();
  receives_.want(EV_READ);
}

void Forwarder::drop(ForwardDrop reason, const Address& from,
                     std::string_view key) {
  const auto place = static_cast<std::size_t>(reason);
  ++counters_.drops[place];
  std::uint64_t left_out = 0;
  if (!drop_log_[place].allow(clock_.monotonic_ms(), &left_out)) return;
  log::warning("forwarder: datagram dropped ({}){}{} from {}{}",
               to_string(reason), key.empty() ? "" : " for ",
               log::printable(key), text_of(from), more_text(left_out));
}

void Forwarder::fail(std::uint64_t& counter, log::Limiter& limiter,
                     std::string_view what, const Address& to) {
  const int error = errno;
  ++counter;
  std::uint64_t left_out = 0;
  if (!limiter.allow(clock_.monotonic_ms(), &left_out)) return;
  log::warning("forwarder: not {} to {}: {}{}", what, text_of(to),
               std::strerror(error), more_text(left_out));
}

}  // namespace fealty::legion
