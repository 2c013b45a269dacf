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
#include <systemd/sd-daemon.h>

#include <utility>

#include "base/log.h"
#include "router/router.h"

namespace fealty::router {

// ------------------------------------------------------------------- the old

void Router::upgrade() {
  if (draining_ || retired_ || successor_.is_starting()) {
    return log::warning("SIGUSR2: not now");
  }
  if (reloading_) {
    upgrade_wanted_ = true;
    return;
  }
  subscriptions_.stop();
  const Status begun = begin_upgrade();
  if (begun) return;
  log::error("upgrade: {}", begun.error().message);
  go_on();
}

Status Router::begin_upgrade() {
  const Handover handover = hand_over();
  std::vector<int> fds;
  for (const auto& socket : handover.sockets) {
    fds.insert(fds.end(), socket.fds.begin(), socket.fds.end());
  }
  std::string bytes = handover.encode();
  Status begun = successor_.start(bytes, std::move(fds), [this](const Status& serves) {
    if (serves) return retire();
    log::error("upgrade: {}", serves.error().message);
    go_on();
  });
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return begun;
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

void Router::go_on() {
  subscriptions_.start([this](auto snapshot) { publish(std::move(snapshot)); });
}

// The successor serves: no new connections, and those that are there end with
// the answer that they are at, or when they have idled for long enough.
void Router::retire() {
  log::info("upgrade: pid {} serves; this process ends with its last "
            "connection", successor_.pid());
  ::sd_notifyf(0, "MAINPID=%d", static_cast<int>(successor_.pid()));
  retired_ = true;
  leave_files();
  health_.reset();
  admin_.adopt({});
  listeners_.adopt({});
  for (const auto& worker : workers_) worker->retire();
}

void Router::leave_files() {
  listeners_.leave_files();
  admin_.leave_files();
  subscriptions_.leave_sockets();
}

// ------------------------------------------------------------------- the new

Status Router::inherit(Inheritance inheritance) {
  predecessor_.emplace(std::move(inheritance));
  auto handover = Handover::decode(predecessor_->bytes());
  predecessor_->forget_bytes();
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
  if (predecessor_) predecessor_->tell();
  predecessor_.reset();
}

}  // namespace fealty::router
