// SIGUSR2: another process takes this one's place, most likely of a newer binary,
// and nobody who is being served notices.
//
//   old                                     new
//   stops reading announcements (they wait)
//   hands over sockets and what it knows →  binds what else is configured,
//                                           serves, and says that it does
//   lets go of the sockets and ends with  ←
//   its last connection
//
// Both accept for a moment; that is harmless, since they know the same. Where the
// new one ends without a word, the old one goes on as if nothing had been.

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "router/router.h"

extern char** environ;

namespace fealty::router {
namespace {

constexpr std::int64_t kStartMost_ms = 60'000;
constexpr char kReady = 'R';

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> environment_with(const std::string& handover) {
  const std::string prefix = std::string(kHandoverVariable) + "=";
  std::vector<std::string> variables;
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view variable(*at);
    if (!variable.starts_with(prefix)) variables.emplace_back(variable);
  }
  variables.push_back(prefix + handover);
  return variables;
}

// Starts the program with these descriptors open, as it was started itself.
Result<pid_t> spawn(const Program& program, const std::vector<int>& fds,
                    const std::string& handover) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  // The same number: it stays open.
  for (const int fd : fds) {
    ::posix_spawn_file_actions_adddup2(&actions, fd, fd);
  }
  sigset_t none;
  sigset_t all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  const sched_param priority{};
  ::posix_spawnattr_setschedpolicy(&attributes, SCHED_OTHER);
  ::posix_spawnattr_setschedparam(&attributes, &priority);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETSCHEDULER);
  std::vector<std::string> arguments = program.arguments;
  std::vector<std::string> environment = environment_with(handover);
  pid_t pid = 0;
  const int error =
      ::posix_spawn(&pid, program.path.c_str(), &actions, &attributes,
                    pointers_to(arguments).data(),
                    pointers_to(environment).data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error == 0) return pid;
  return Error{program.path + " cannot be started: " + std::strerror(error)};
}

}  // namespace

// ------------------------------------------------------------------- the old

void Router::upgrade() {
  if (draining_ || retired_ || reloading_ || successor_ != 0) {
    return log::warning("SIGUSR2: not now");
  }
  subscriptions_.stop();
  Status begun = begin_upgrade();
  if (begun) {
    log::info("upgrade: {} was started as pid {}", program_.path, successor_);
    return;
  }
  log::error("upgrade: {}", begun.error().message);
  go_on();
}

Status Router::begin_upgrade() {
  const Handover handover = hand_over();
  std::string bytes = handover.encode();
  auto memory = write_memory(bytes);
  OPENSSL_cleanse(bytes.data(), bytes.size());
  if (!memory) return memory.error();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    return Error{std::string("no pipe: ") + std::strerror(errno)};
  }
  successor_says_ = UniqueFd(ends[0]);
  const UniqueFd says(ends[1]);
  std::vector<int> fds = {memory->get(), says.get()};
  for (const auto& socket : handover.sockets) {
    fds.insert(fds.end(), socket.fds.begin(), socket.fds.end());
  }
  const auto pid = spawn(program_, fds,
                         std::to_string(memory->get()) + "," +
                             std::to_string(says.get()));
  if (!pid) return pid.error();
  successor_ = *pid;
  successor_io_.start(successor_says_.get(), EV_READ);
  successor_timer_.start(kStartMost_ms);
  return Ok{};
}

Handover Router::hand_over() {
  Handover handover;
  using Kind = Handover::Kind;
  for (const Listeners::Open& open : listeners_.all()) {
    Handover::Socket socket{Kind::kListener, open.options.address.to_string(),
                            open.options.inherited_fd, open.bound->shared, {}};
    for (const SocketPtr& fd : open.bound->fds) {
      socket.fds.push_back(fd->get());
    }
    handover.sockets.push_back(std::move(socket));
  }
  for (const auto& [address, fd] : admin_.sockets()) {
    handover.sockets.push_back(
        {Kind::kAdmin, address.to_string(), -1, true, {fd}});
  }
  for (const auto& [address, fd] : subscriptions_.sockets()) {
    handover.sockets.push_back(
        {Kind::kSubscription, address.to_string(), -1, true, {fd}});
  }
  const auto secret = settings_->sticky.secret();
  handover.sticky_secret.assign(secret.begin(), secret.end());
  handover.cluster_key = cluster_key_;
  identities_.hand_over(handover.ticket_keys, handover.identities);
  for (const Listeners::Open& open : listeners_.all()) {
    if (!open.listener->is_tls()) continue;
    for (auto& each : sni::export_identity(open.listener->tls->fallback())) {
      each.name = open.options.identity.certificate;
      handover.defaults.push_back(std::move(each));
    }
  }
  handover.nodes = subscriptions_.table().save();
  return handover;
}

void Router::on_successor(int) {
  char said = 0;
  const ssize_t bytes = ::read(successor_says_.get(), &said, 1);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return;
  successor_io_.stop();
  successor_timer_.stop();
  successor_says_.reset();
  if (bytes == 1 && said == kReady) return retire();
  int status = 0;
  ::waitpid(successor_, &status, 0);
  log::error("upgrade: pid {} ended before it served; this process goes on",
             successor_);
  go_on();
}

// It does not come up.
void Router::on_successor_late() {
  log::error("upgrade: pid {} does not serve after {} ms", successor_,
             kStartMost_ms);
  ::kill(successor_, SIGKILL);  // then its end of the pipe closes
}

void Router::go_on() {
  successor_ = 0;
  successor_says_.reset();
  subscriptions_.start([this](auto snapshot) { publish(std::move(snapshot)); });
}

// The successor serves: no new connections, and those that are there end with
// the answer that they are at, or when they have idled for long enough.
void Router::retire() {
  log::info("upgrade: pid {} serves; this process ends with its last "
            "connection", successor_);
  ::sd_notifyf(0, "MAINPID=%d", static_cast<int>(successor_));
  retired_ = true;
  listeners_.leave_files();
  admin_.leave_files();
  subscriptions_.leave_sockets();
  health_.reset();
  admin_.adopt({});
  listeners_.adopt({});
  for (const auto& worker : workers_) worker->retire();
}

// ------------------------------------------------------------------- the new

Status Router::inherit(std::string_view variable) {
  const std::string text(variable);
  int memory = -1;
  int says = -1;
  if (std::sscanf(text.c_str(), "%d,%d", &memory, &says) != 2 || memory < 3 ||
      says < 3) {
    return Error{std::string(kHandoverVariable) + " is not of this program's"};
  }
  const UniqueFd read(memory);
  predecessor_ = UniqueFd(says);
  ::fcntl(says, F_SETFD, FD_CLOEXEC);
  auto bytes = read_memory(memory);
  if (!bytes) return bytes.error();
  auto handover = Handover::decode(*bytes);
  OPENSSL_cleanse(bytes->data(), bytes->size());
  if (!handover) return handover.error();
  inherited_ = std::make_unique<Handover>(*std::move(handover));
  for (const Handover::Socket& socket : inherited_->sockets) {
    take_socket(socket);
  }
  identities_.inherit(inherited_->ticket_keys, inherited_->defaults);
  return Ok{};
}

void Router::take_socket(const Handover::Socket& socket) {
  std::vector<UniqueFd> fds;
  for (const int fd : socket.fds) {
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    fds.emplace_back(fd);
  }
  Address address;
  if (socket.inherited_fd < 0) {
    const auto parsed = Address::parse(socket.address);
    if (!parsed || fds.empty()) return;
    address = *parsed;
  }
  switch (socket.kind) {
    case Handover::Kind::kListener:
      return listeners_.inherit(address, socket.inherited_fd, socket.shared,
                                std::move(fds));
    case Handover::Kind::kAdmin:
      return admin_.inherit(address, std::move(fds.front()));
    case Handover::Kind::kSubscription:
      return subscriptions_.inherit(address, std::move(fds.front()));
  }
}

// Once the configuration is in use: what was known, and is not of it.
void Router::take_over() {
  if (inherited_ == nullptr) return;
  subscriptions_.restore(inherited_->nodes);
  identities_.restore(inherited_->identities);
  inherited_.reset();
}

// All workers serve by all that was taken over.
void Router::tell_predecessor() {
  if (!predecessor_.valid()) return;
  if (::write(predecessor_.get(), &kReady, 1) != 1) {
    log::warning("upgrade: the process before this one has gone already");
  }
  predecessor_.reset();
}

}  // namespace fealty::router
