#include "subscription/server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <unordered_map>
#include <utility>

#include "base/datagram.h"
#include "base/socket_file.h"

namespace fealty::subscription {
namespace {

constexpr int kReceiveBufferBytes = 4 * 1024 * 1024;
constexpr std::int64_t kRejectLogInterval_ms = 1000;
constexpr std::int64_t kExpiryIntervalMin_ms = 10;
constexpr std::int64_t kExpiryIntervalMax_ms = 1000;
// What a customer is charged for reading new certificates of his.
constexpr std::int64_t kMaterial_us = 1000;
// Files that are read to be passed on as text.
constexpr std::int64_t kPassedOn_us = 100;
// Of a socket that is to be closed; each is kBatch * kBatchesPerTurn datagrams.
constexpr int kTurnsAtTheEnd = 64;
constexpr auto kVersionOpen = std::numeric_limits<std::uint64_t>::max();

Status check_room(const Options& options) {
  std::unordered_map<std::string_view, std::size_t> of_key;
  std::size_t count = 0;
  for (const StaticNode& node : options.static_nodes) {
    if (++count <= options.nodes_max && ++of_key[node.key] <= kPoolNodesMax) {
      continue;
    }
    return Error{"static node " + node.address.to_string() + " of " +
                 node.key + ": " +
                 std::string(to_string(Rejection::kTableFull))};
  }
  return Ok{};
}

bool wants_credentials(const Options& options) {
  return options.use_credentials || options.sign_check ||
         !options.credentials_check.empty() ||
         !options.allow_sni_paths.empty();
}

Error failed(const Address& address, std::string_view what, int error,
             std::string_view advice = "") {
  std::string text = "subscription server " + address.to_string() + ": " +
                     std::string(what) + ": " + std::strerror(error);
  if (!advice.empty()) text += "; " + std::string(advice);
  return Error{std::move(text)};
}

Error refused(const Address& address, std::string_view why) {
  return Error{"subscription server " + address.to_string() + ": " +
               std::string(why)};
}

bool is_path(const Address& address) {
  return address.is_unix() && !address.unix_path().starts_with('@');
}

bool set_option(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

bool bind_to(int fd, const Address& address) {
  return ::bind(fd, address.data(), address.length()) == 0;
}

std::string_view advice_for(const Address& address, int error) {
  if (error == ENOENT && is_path(address)) {
    return "create the directory that the socket is to be in";
  }
  if (error == EACCES || error == EPERM) {
    return "start as a user who may write there";
  }
  return "";
}

std::optional<Credentials> credentials_of(msghdr& message) {
  const auto sender = sender_of(message);
  if (!sender) return std::nullopt;
  return Credentials{sender->pid, sender->uid, sender->gid};
}

std::string sender_text(const Address& from) {
  const std::string text = from.to_string();
  return text.empty() ? "an unnamed socket" : log::printable(text);
}

// A sleeping vassal may have no address yet.
const std::string& name_of(const Announcement& announcement) {
  return announcement.address_text.empty() ? announcement.vassal
                                           : announcement.address_text;
}

std::string credentials_text(const std::optional<Credentials>& sender) {
  if (!sender) return "";
  return fmt::format(", sent by uid {} gid {} pid {}", sender->uid, sender->gid,
                     sender->pid);
}

Announcement announcement_of(const StaticNode& node) {
  Announcement made;
  made.key = node.key;
  made.address_text = node.address.to_string();
  made.address = node.address;
  made.modifier1 = node.modifier1;
  made.modifier2 = node.modifier2;
  made.weight = node.weight;
  made.backup = node.backup;
  made.protocol = node.protocol;
  made.algorithm = node.algorithm;
  return made;
}

}  // namespace

// The buffers of one recvmmsg. Memory is only touched as datagrams fill it.
struct Server::Batch {
  // One byte more than a datagram may have would do; a page's multiple does
  // too, and UDP never fills it.
  // And an odd number of cache lines, so that the fronts of all buffers do not
  // drive each other out of the same places in the caches.
  static constexpr std::size_t kBufferBytes = 64 * 1024 + 5 * 64;
  static_assert(kBufferBytes > kDatagramBytesMax);

  // Exactly the kernel's credentials: descriptors that somebody sends along
  // find no room and are closed by the kernel.
  union Control {
    cmsghdr alignment;
    char bytes[CMSG_SPACE(sizeof(ucred))];
  };

  std::unique_ptr<char[]> buffers{new char[std::size_t{kBatch} * kBufferBytes]};
  std::array<mmsghdr, kBatch> messages{};
  std::array<iovec, kBatch> parts{};
  std::array<sockaddr_storage, kBatch> senders{};
  std::array<Control, kBatch> controls{};
  // Of the packets in their order, and of those keys that could be read.
  std::vector<Result<Announcement, Rejection>> parsed;
  std::vector<std::uint64_t> hashes;

  void prepare(bool with_credentials) {
    for (std::size_t i = 0; i < kBatch; ++i) {
      parts[i] = {buffers.get() + i * kBufferBytes, kBufferBytes};
      msghdr& head = messages[i].msg_hdr;
      head = {};
      head.msg_name = &senders[i];
      head.msg_namelen = sizeof senders[i];
      head.msg_iov = &parts[i];
      head.msg_iovlen = 1;
      if (!with_credentials) continue;
      head.msg_control = &controls[i];
      head.msg_controllen = sizeof controls[i];
    }
  }
  void parse(std::size_t count) {
    parsed.clear();
    hashes.clear();
    for (std::size_t i = 0; i < count; ++i) {
      if (cut(i)) {
        parsed.emplace_back(Rejection::kTruncated);
        continue;
      }
      parsed.push_back(parse_announcement(packet(i)));
      if (parsed.back()) hashes.push_back(hash_key(parsed.back()->key));
    }
  }
  [[nodiscard]] std::string_view packet(std::size_t i) const {
    return {buffers.get() + i * kBufferBytes, messages[i].msg_len};
  }
  [[nodiscard]] bool cut(std::size_t i) const {
    return (messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
  }
  [[nodiscard]] Address sender(std::size_t i) const {
    return Address::from_sockaddr(
        reinterpret_cast<const sockaddr*>(&senders[i]),
        messages[i].msg_hdr.msg_namelen);
  }
};

// One bound socket, and its file.
class Server::Socket {
 public:
  explicit Socket(Address address) : address_(address) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { readable_.stop(); }

  Status open(const ServerSocket& wanted) {
    fd_ = datagram_socket(address_.family());
    if (!fd_.valid()) return failed(address_, "cannot make a socket", errno);
    raise_receive_buffer(fd_.get(), kReceiveBufferBytes);
    if (address_.family() == AF_INET6) {
      set_option(fd_.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
    }
    return is_path(address_) ? bind_path(wanted) : bind_plain();
  }

  // One that is bound already.
  void take(UniqueFd fd) {
    fd_ = std::move(fd);
    file_.emplace(address_);
  }
  void leave_file() {
    if (file_) file_->leave();
  }
  // What may change while it is open.
  Status ask_for_credentials(bool wanted) {
    if (!address_.is_unix() || wanted == with_credentials_) return Ok{};
    if (!set_option(fd_.get(), SOL_SOCKET, SO_PASSCRED, wanted ? 1 : 0)) {
      return failed(address_, "cannot ask for the senders' credentials", errno);
    }
    with_credentials_ = wanted;
    return Ok{};
  }
  Status set_rights(const ServerSocket& wanted) {
    if (!is_path(address_)) return Ok{};
    const std::string path = address_.unix_path();
    if (wanted.mode && !set_socket_mode(path, *wanted.mode)) {
      return failed(address_, "cannot set the mode", errno);
    }
    const Status set = set_socket_group(path, wanted.group);
    return set ? set : refused(address_, set.error().message);
  }
  [[nodiscard]] bool may_set_mode(std::optional<mode_t> mode) const {
    return !mode || !is_path(address_) ||
           may_set_socket_mode(address_.unix_path(), *mode);
  }

  void start(Server& server) {
    server_ = &server;
    readable_.bind<&Socket::on_readable>(server.loop_, this);
    readable_.start(fd_.get(), EV_READ);
  }
  void stop() { readable_.stop(); }

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const Address& address() const { return address_; }
  [[nodiscard]] bool with_credentials() const { return with_credentials_; }

 private:
  void on_readable(int) { static_cast<void>(server_->read_socket(*this)); }

  Status bind_plain() {
    if (bind_to(fd_.get(), address_)) return Ok{};
    return failed(address_, "cannot bind", errno, advice_for(address_, errno));
  }

  Status bind_path(const ServerSocket& wanted) {
    // A socket's own mode bounds that of the file which bind() makes: so it is
    // at no moment open to more than it is to be.
    if (wanted.mode && ::fchmod(fd_.get(), *wanted.mode) != 0) {
      return failed(address_, "cannot set the mode", errno);
    }
    if (!bind_to(fd_.get(), address_)) {
      if (errno != EADDRINUSE) return bind_plain();
      if (auto freed = remove_stale_socket(address_, SOCK_DGRAM); !freed) {
        return refused(address_, freed.error().message);
      }
      if (!bind_to(fd_.get(), address_)) return bind_plain();
    }
    file_.emplace(address_);
    return set_rights(wanted);  // what the umask took away
  }

  Server* server_ = nullptr;           // once it is read
  Address address_;
  UniqueFd fd_;
  IoWatcher readable_;
  bool with_credentials_ = false;
  std::optional<SocketFile> file_;
};

Server::Server(Loop& loop, const Clock& clock, Options options)
    : loop_(loop),
      clock_(clock),
      options_(std::move(options)),
      verifier_(options_, clock),
      table_(clock, options_),
      census_(table_, clock),
      materials_(clock),
      resubscriber_(options_, clock),
      batch_(std::make_unique<Batch>()),
      reject_log_(static_cast<std::size_t>(Rejection::kCount),
                  log::Limiter(kRejectLogInterval_ms)) {
  expiry_timer_.bind<&Server::on_expiry>(loop, this);
  publish_timer_.bind<&Server::on_publish>(loop, this);
  table_.on_pool_gone([this](std::string_view key) { on_pool_gone(key); });
  table_.on_materials([this](std::string_view key, auto tags) {
    return materials_.keep_only(key, tags, options_.tolerance_ms);
  });
}

Server::~Server() = default;

Status Server::bind(std::vector<Address> own_sockets) {
  auto plan = prepare(options_, std::move(own_sockets));
  if (!plan) return plan.error();
  adopt(*std::move(plan));
  return Ok{};
}

Result<Server::Plan> Server::prepare(Options options,
                                     std::vector<Address> own_sockets) const {
  Plan plan;
  plan.options_ = std::move(options);
  plan.own_sockets_ = std::move(own_sockets);
  for (const ServerSocket& wanted : plan.options_.servers) {
    if (!wanted.address.is_unix()) continue;
    plan.own_sockets_.push_back(wanted.address);
  }
  auto targets = resubscriber_.prepare(plan.options_);
  if (!targets) return targets.error();
  plan.targets_ = *std::move(targets);
  for (const ServerSocket& wanted : plan.options_.servers) {
    auto socket = socket_for(wanted);
    if (!socket) return socket.error();
    plan.sockets_.push_back(*std::move(socket));
  }
  OwnSockets own(clock_);
  for (const Address& address : plan.own_sockets_) own.add(address);
  if (Status room = check_room(plan.options_); !room) return room.error();
  for (const StaticNode& node : plan.options_.static_nodes) {
    if (!own.holds(node.address)) continue;
    return Error{"static node " + node.address.to_string() + " of " +
                 node.key + " is a socket of this router's own; name the "
                 "application's"};
  }
  return plan;
}

Result<std::shared_ptr<Server::Socket>> Server::socket_for(
    const ServerSocket& wanted) const {
  for (const auto& socket : sockets_) {
    if (socket->address().to_string() != wanted.address.to_string()) continue;
    if (socket->may_set_mode(wanted.mode)) return socket;
    return refused(wanted.address,
                   "its mode can change at a restart only: the file is another "
                   "user's");
  }
  auto socket = std::make_shared<Socket>(wanted.address);
  if (auto bound = socket->open(wanted); !bound) return bound.error();
  return socket;
}

std::vector<std::pair<Address, int>> Server::sockets() const {
  std::vector<std::pair<Address, int>> all;
  for (const auto& socket : sockets_) {
    all.emplace_back(socket->address(), socket->fd());
  }
  return all;
}

void Server::leave_sockets() {
  for (const auto& socket : sockets_) socket->leave_file();
  sockets_.clear();
}

void Server::inherit(const Address& address, UniqueFd socket) {
  sockets_.push_back(std::make_shared<Socket>(address));
  sockets_.back()->take(std::move(socket));
}

void Server::restore(const std::vector<SavedNode>& nodes) {
  for (const SavedNode& node : nodes) table_.restore(node);
  if (table_.dirty()) schedule_publish();
}

void Server::adopt(Plan plan) {
  const std::vector<StaticNode> before =
      std::exchange(options_, std::move(plan.options_)).static_nodes;
  verifier_.reconfigure(plan.own_sockets_);
  table_.reconfigure(options_);
  resubscriber_.adopt(std::move(plan.targets_));
  adopt_static_nodes(before);
  adopt_sockets(std::move(plan.sockets_));
  if (reads_) start_expiry();
  if (table_.dirty()) schedule_publish();
}

void Server::adopt_sockets(Sockets sockets) {
  const Sockets before = std::exchange(sockets_, std::move(sockets));
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    for (const Status& set :
         {sockets_[i]->set_rights(options_.servers[i]),
          sockets_[i]->ask_for_credentials(wants_credentials(options_))}) {
      if (!set) log::error("{}", set.error().message);
    }
  }
  const auto holds = [](const Sockets& all, const auto& socket) {
    return std::find(all.begin(), all.end(), socket) != all.end();
  };
  for (const auto& socket : before) {
    if (holds(sockets_, socket)) continue;
    for (int i = 0; i < kTurnsAtTheEnd && !read_socket(*socket); ++i) {
    }
    socket->stop();
  }
  if (!reads_) return;
  for (const auto& socket : sockets_) {
    if (!holds(before, socket)) socket->start(*this);
  }
}

void Server::adopt_static_nodes(const std::vector<StaticNode>& before) {
  const auto& now = options_.static_nodes;
  for (const StaticNode& old : before) {
    const bool stays =
        std::any_of(now.begin(), now.end(), [&](const StaticNode& node) {
          return node.key == old.key &&
                 node.address.to_string() == old.address.to_string();
        });
    if (!stays) table_.drop_permanent(old.key, old.address);
  }
  for (const StaticNode& node : now) {
    const auto change = table_.apply_permanent(announcement_of(node));
    if (change) continue;
    log::error("static node {} of {}: {}", node.address.to_string(), node.key,
               to_string(change.error()));
  }
}

void Server::set_hooks(Hooks hooks) {
  materials_.set_hooks(std::move(hooks.materials));
  pool_gone_ = std::move(hooks.on_pool_gone);
}

void Server::start(Publish publish) {
  publish_ = std::move(publish);
  reads_ = true;
  for (const auto& socket : sockets_) socket->start(*this);
  start_expiry();
  on_publish();  // what the configuration names is served from the start
}

void Server::start_expiry() {
  expiry_interval_ms_ = std::clamp(options_.tolerance_ms / 4,
                                   kExpiryIntervalMin_ms,
                                   kExpiryIntervalMax_ms);
  expiry_timer_.start(expiry_interval_ms_, expiry_interval_ms_);
}

void Server::stop() {
  reads_ = false;
  for (const auto& socket : sockets_) socket->stop();
  expiry_timer_.stop();
  publish_timer_.stop();
}

bool Server::read_socket(Socket& socket) {
  for (int i = 0; i < kBatchesPerTurn; ++i) {
    if (!read_batch(socket)) return true;
  }
  return false;
}

// What waits in the sockets may well be the packets that are missed, if it was
// this thread that was late: expiry waits until they were read, though not for
// longer than a tolerance, which a flood could otherwise make it. Counted in
// turns of the timer, since a late thread's clock has jumped.
bool Server::may_expire() {
  bool drained = true;
  for (const auto& socket : sockets_) {
    drained = read_socket(*socket) && drained;
  }
  if (drained) {
    expiry_turns_held_ = 0;
    return true;
  }
  ++expiry_turns_held_;
  return expiry_turns_held_ * expiry_interval_ms_ >= options_.tolerance_ms;
}

bool Server::read_batch(Socket& socket) {
  batch_->prepare(socket.with_credentials());
  int count = 0;
  do {
    count = ::recvmmsg(socket.fd(), batch_->messages.data(), kBatch,
                       MSG_DONTWAIT | MSG_CMSG_CLOEXEC, nullptr);
  } while (count < 0 && errno == EINTR);
  if (count <= 0) return false;
  batch_->parse(static_cast<std::size_t>(count));
  table_.prefetch(batch_->hashes);
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    on_datagram(batch_->parsed[i],
                {socket.with_credentials()
                     ? credentials_of(batch_->messages[i].msg_hdr)
                     : std::nullopt,
                 batch_->sender(i)});
  }
  return count == kBatch;
}

void Server::on_datagram(Result<Announcement, Rejection>& announcement,
                         const Origin& origin) {
  ++counters_.packets;
  if (!announcement) return reject(announcement.error(), "", origin);
  if (resubscriber_.is_own(*announcement)) {
    ++counters_.came_back;
    return;
  }
  const auto change = take(*announcement, origin);
  if (!change) return reject(change.error(), announcement->key, origin);
  ++counters_.accepted;
  on_change(*change, *announcement, origin.sender);
}

Result<Change, Rejection> Server::take(Announcement& announcement,
                                       const Origin& origin) {
  const bool served = announcement.protocol == Protocol::kUwsgi ||
                      announcement.protocol == Protocol::kHttp;
  if (!served || !may_be_found(announcement.key)) {
    return Rejection::kUnsupported;
  }
  const auto accepted = verifier_.check(announcement, origin);
  if (!accepted) return accepted.error();
  if (accepted->duplicate) return Change::kNone;
  announcement.material = materials_.tag_of(accepted->sni);
  const auto change = table_.apply(announcement, origin.sender);
  if (!change) return change;
  verifier_.commit(*accepted);
  if (!announcement.subscribe || *change == Change::kNone ||
      *change == Change::kRemoved) {
    return change;
  }
  const bool renewed = take_material(announcement, *accepted);
  pass_on(announcement, *accepted);
  if (*change == Change::kAdded) {
    queue_ack(announcement, "new node");
  } else if (renewed) {
    queue_ack(announcement, "new certificate");
  }
  return change;
}

// Whether some request's look-up can come to this key.
bool Server::may_be_found(std::string_view key) const {
  const std::string_view site = without_mountpoint(key);
  const auto components =
      std::count(key.begin() + static_cast<std::ptrdiff_t>(site.size()),
                 key.end(), '/');
  if (components > std::ptrdiff_t{options_.mountpoints}) return false;
  return !options_.expect_port_in_key || site != without_port(key);
}

// True: it brought a certificate that is new and good.
bool Server::take_material(const Announcement& announcement,
                           const Verifier::Accepted& accepted) {
  using Outcome = Materials::Outcome;
  const std::string_view key = announcement.key;
  const Outcome outcome = materials_.on_announcement(
      key, accepted.sni,
      accepted.speaks_for_domain
          ? ""
          : "a certificate counts for the whole domain: who announces one of its "
            "ports alone brings none");
  if (outcome == Outcome::kNothing || outcome == Outcome::kUnchanged) {
    return false;
  }
  // Even what is refused may have brought other rules.
  table_.renew(key);
  schedule_publish();
  verifier_.charge(accepted, kMaterial_us);
  const bool taken =
      outcome == Outcome::kTaken || outcome == Outcome::kTakenAgain;
  const bool silent =
      outcome == Outcome::kTakenAgain || outcome == Outcome::kStillRefused;
  if (silent || !may_log_change()) return taken;
  if (taken) {
    log::info("subscription: {}: certificate read", key);
  } else {
    log::warning("subscription: {}: certificate refused: {}", key,
                 log::printable(materials_.problem(key)));
  }
  return taken;
}

// A certificate that does not count here counts nowhere else.
void Server::pass_on(const Announcement& announcement,
                     const Verifier::Accepted& accepted) {
  const bool counts = accepted.speaks_for_domain &&
                      !materials_.is_refused(announcement.key, accepted.sni);
  const auto turn =
      resubscriber_.pass_on(announcement, counts ? &accepted.sni : nullptr);
  if (turn == Resubscriber::Turn::kNone || !accepted.sni.any()) return;
  // As much as it costs those who are told, who know nobody to charge.
  verifier_.charge(accepted, turn == Resubscriber::Turn::kNew ? kMaterial_us
                                                              : kPassedOn_us);
}

void Server::on_pool_gone(std::string_view key) {
  resubscriber_.withdraw(key);
  materials_.on_pool_gone(key);
  if (pool_gone_) pool_gone_(key);
}

Table::Drain Server::set_drained(std::string_view key, std::string_view node,
                                 bool drained) {
  const Table::Drain outcome = table_.set_drained(key, node, drained);
  if (outcome != Table::Drain::kDone) return outcome;
  schedule_publish();
  log::info("subscription: {} node {} {} by an operator", log::printable(key),
            log::printable(node), drained ? "drained" : "undrained");
  return outcome;
}

void Server::on_change(Change change, const Announcement& announcement,
                       const std::optional<Credentials>& sender) {
  if (change == Change::kRefreshed || change == Change::kNone) return;
  schedule_publish();
  if (!may_log_change()) return;
  const std::string node = log::printable(name_of(announcement));
  if (change == Change::kRemoved) {
    log::info("subscription: {} node {} removed: it unsubscribed",
              announcement.key, node);
  } else {
    log::info("subscription: {} node {} {} with weight {}, modifiers {} {}{}",
              announcement.key, node,
              change == Change::kAdded ? "added" : "changed",
              announcement.weight, announcement.modifier1,
              announcement.modifier2, credentials_text(sender));
  }
}

void Server::reject(Rejection reason, std::string_view packet_key,
                    const Origin& origin) {
  refusals_.add(reason, verifier_.source_of(origin),
                [&] { return Verifier::source_name(origin); });
  std::uint64_t left_out = 0;
  log::Limiter& limiter = reject_log_[static_cast<std::size_t>(reason)];
  if (!limiter.allow(clock_.monotonic_ms(), &left_out)) return;
  log::warning("subscription: packet refused ({}){}{} from {}{}",
               to_string(reason), packet_key.empty() ? "" : " for ",
               log::printable(packet_key), sender_text(origin.from),
               left_out == 0 ? ""
                             : fmt::format("; {} more since the last line",
                                           left_out));
}

// True while this second's lines are not used up; says once when they are.
bool Server::may_log_change() {
  using Verdict = log::LineBudget::Verdict;
  const Verdict verdict = change_log_.ask(clock_.monotonic_ms());
  if (verdict == Verdict::kSayMore) {
    log::info("subscription: more nodes come and go; not listed this second");
  }
  return verdict == Verdict::kWrite;
}

void Server::on_expiry() {
  census_.step();
  if (!may_expire()) return;
  const auto on_drop = [this](std::string_view key,
                              const NodeRecord& record) {
    verifier_.on_node_left(key, record.address(), record.vassal());
    if (!may_log_change()) return;
    log::info("subscription: {} node {} removed: silent for longer than {} ms",
              key, log::printable(record.name()), options_.tolerance_ms);
  };
  if (table_.expire(on_drop).pause_began) {
    log::warning("subscription: all nodes fell silent at once; none is removed "
                 "for the next {} ms: is something wrong with this router's "
                 "sockets or clock?",
                 options_.tolerance_ms);
  }
  materials_.for_each_due([this](const std::string& key) { table_.renew(key); });
  if (table_.dirty()) schedule_publish();
}

void Server::schedule_publish() {
  if (publish_ && !publish_timer_.active()) publish_timer_.start(kCoalesce_ms);
}

void Server::on_publish() {
  if (!publish_ || !table_.dirty()) return;
  std::shared_ptr<const Snapshot> snapshot = table_.build();
  for (auto ack = acks_.rbegin();
       ack != acks_.rend() && ack->version == kVersionOpen; ++ack) {
    ack->version = snapshot->version();
  }
  publish_(std::move(snapshot));
  if (table_.dirty()) schedule_publish();
}

void Server::queue_ack(const Announcement& announcement, const char* what) {
  if (!publish_ || announcement.notify.empty()) return;
  if (acks_.size() >= kAcksMax) return;
  acks_.push_back({kVersionOpen, announcement.notify,
                   "[subscription ack] " + announcement.key + " => " + what +
                       ": " + name_of(announcement)});
}

void Server::on_adopted(std::uint64_t version) {
  const auto end = std::find_if(
      acks_.begin(), acks_.end(),
      [&](const PendingAck& ack) { return ack.version > version; });
  for (auto ack = acks_.begin(); ack != end; ++ack) send_ack(*ack);
  acks_.erase(acks_.begin(), end);
}

// Best effort, as all datagrams are: nobody waits here for a vassal that does
// not read. Where it may go is bounded like the nodes' own addresses.
void Server::send_ack(const PendingAck& ack) {
  const auto to = Address::parse(ack.notify);
  if (!to || !verifier_.address_allowed(*to)) {
    log::debug("subscription: no acknowledgement sent to {}",
               log::printable(ack.notify));
    return;
  }
  const UniqueFd fd = datagram_socket(to->family());
  if (!fd.valid()) return;
  if (::sendto(fd.get(), ack.text.data(), ack.text.size(),
               MSG_DONTWAIT | MSG_NOSIGNAL, to->data(), to->length()) < 0) {
    log::debug("subscription: acknowledgement to {} was not sent: {}",
               log::printable(ack.notify), std::strerror(errno));
  }
}

}  // namespace fealty::subscription
