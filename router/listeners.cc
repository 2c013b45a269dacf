#include "router/listeners.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "router/listen.h"

namespace fealty::router {
namespace {

bool same_socket(const ListenerOptions& one, const ListenerOptions& other) {
  return one.inherited_fd == other.inherited_fd &&
         one.address.to_string() == other.address.to_string();
}

// A Unix socket's file that stays may get another mode.
void set_mode(const ListenerOptions& options) {
  if (!options.mode || !options.address.is_unix()) return;
  const std::string path = options.address.unix_path();
  if (set_socket_mode(path, *options.mode)) return;
  log::error("cannot set the mode of {}: {}", path, std::strerror(errno));
}

// Not `trusted`, which counts for the connections to come, and not the identity
// itself: one that was renewed is as good as before.
std::string terms_of(const ListenerOptions& options, const Listener& listener,
                     const sni::Options& tls) {
  std::string terms = options.text;
  const auto add = [&](unsigned value) {
    terms.append(" ").append(std::to_string(value));
  };
  add(listener.redirect_to_https);
  add(listener.proxy_protocol);
  add(listener.speaks_uwsgi);
  add(listener.sealed);
  if (!listener.is_tls()) return terms;
  add(static_cast<unsigned>(tls.min_version));
  terms.append(" ").append(tls.ciphers).append(" ");
  const auto& binding = listener.tls->fallback().binding();
  return terms.append(binding.begin(), binding.end());
}

bool may_set_mode(const ListenerOptions& options) {
  return !options.mode || !options.address.is_unix() ||
         may_set_socket_mode(options.address.unix_path(), *options.mode);
}

}  // namespace

Result<Listeners::Set> Listeners::prepare(
    const std::vector<ListenerOptions>& wanted, Identities& identities,
    const Identities::Loaded& loaded) const {
  Set set;
  for (const ListenerOptions& options : wanted) {
    const Open* const known = current(options);
    const auto failed = [&](const Error& error) {
      return Error{"listener " + options.text + ": " + error.message};
    };
    Listener its;
    its.redirect_to_https = options.redirect_to_https;
    its.proxy_protocol = options.proxy_protocol;
    its.speaks_uwsgi = options.protocol == ListenerProtocol::kUwsgi;
    its.sealed = options.sealed;
    its.trusted = options.trusted;
    if (options.protocol == ListenerProtocol::kHttps) {
      const bool same_files =
          known != nullptr && known->listener != nullptr &&
          known->listener->is_tls() &&
          known->options.identity == options.identity;
      auto context = identities.context_for(
          options.identity, loaded,
          same_files ? known->listener->tls.get() : nullptr);
      if (!context) return failed(context.error());
      its.tls = *std::move(context);
    }
    BoundSocketPtr bound;
    if (known != nullptr) {
      if (!may_set_mode(options)) {
        return failed(Error{"its mode can change at a restart only: the file "
                            "is another user's"});
      }
      bound = known->bound;
    } else {
      auto made = bind(options);
      if (!made) return failed(made.error());
      bound = *std::move(made);
    }
    if (bound->address.is_ip()) {
      its.server_port = std::to_string(bound->address.port());
    }
    its.terms = terms_of(options, its, loaded.options);
    set.push_back({options, std::move(bound),
                   std::make_shared<const Listener>(std::move(its))});
  }
  return set;
}

void Listeners::inherit(const Address& address, int inherited_fd, bool shared,
                        std::vector<UniqueFd> fds) {
  if (fds.empty()) return;
  auto bound = std::make_shared<BoundSocket>();
  bound->address = bound_address(fds.front().get());
  for (UniqueFd& fd : fds) {
    bound->fds.push_back(std::make_shared<const UniqueFd>(std::move(fd)));
  }
  bound->shared = shared;
  if (inherited_fd < 0) bound->file = SocketFile(address);
  Open open;
  open.options.address = address;
  open.options.inherited_fd = inherited_fd;
  open.bound = std::move(bound);
  set_.push_back(std::move(open));
}

void Listeners::leave_files() const {
  for (const Open& open : set_) open.bound->file.leave();
}

void Listeners::adopt(Set set) {
  set_ = std::move(set);
  for (const Open& open : set_) set_mode(open.options);
}

const Listeners::Open* Listeners::current(
    const ListenerOptions& wanted) const {
  const auto found =
      std::find_if(set_.begin(), set_.end(), [&](const Open& open) {
        return same_socket(open.options, wanted);
      });
  return found == set_.end() ? nullptr : &*found;
}

// A socket of the current set may stand in the way of a new one for a moment:
// "0.0.0.0:80" of "127.0.0.1:80".
bool Listeners::holds_port(const Address& address) const {
  return std::any_of(set_.begin(), set_.end(), [&](const Open& open) {
    return open.bound->address.is_ip() &&
           open.bound->address.port() == address.port();
  });
}

Result<BoundSocketPtr> Listeners::bind(const ListenerOptions& options) const {
  if (options.inherited_fd < 0 && options.address.is_ip()) {
    return bind_each(options);
  }
  auto fd = options.inherited_fd >= 0
                ? adopt_listener(options.inherited_fd)
                : listen_on(options.address, {false, options.mode});
  if (!fd) return fd.error();
  auto bound = std::make_shared<BoundSocket>();
  bound->shared = true;
  bound->address = bound_address(fd->get());
  if (options.inherited_fd < 0) bound->file = SocketFile(options.address);
  bound->fds.push_back(std::make_shared<const UniqueFd>(*std::move(fd)));
  return BoundSocketPtr(std::move(bound));
}

Result<BoundSocketPtr> Listeners::bind_each(
    const ListenerOptions& options) const {
  if (!holds_port(options.address)) {
    const Status free = check_address_free(options.address);
    if (!free) return free.error();
  }
  auto bound = std::make_shared<BoundSocket>();
  bound->address = options.address;
  for (unsigned i = 0; i < workers_; ++i) {
    auto fd = listen_on(bound->address, {true, {}});
    if (!fd) return fd.error();
    bound->address = bound_address(fd->get());  // port 0: the same for all
    bound->fds.push_back(std::make_shared<const UniqueFd>(*std::move(fd)));
  }
  return BoundSocketPtr(std::move(bound));
}

std::vector<WorkerListener> Listeners::of_worker(unsigned worker) const {
  std::vector<WorkerListener> its;
  for (const Open& open : set_) {
    const auto& fds = open.bound->fds;
    for (std::size_t i = 0; i < fds.size(); ++i) {
      if (!open.bound->shared && i % workers_ != worker) continue;
      its.push_back({fds[i], open.listener});
    }
  }
  return its;
}

std::string Listeners::https_port() const {
  for (const Open& open : set_) {
    if (open.listener->is_tls() && open.bound->address.is_ip()) {
      return std::to_string(open.bound->address.port());
    }
  }
  return std::to_string(Listener::kHttpsPort);
}

std::vector<Identities::Default> Listeners::defaults() const {
  std::vector<Identities::Default> all;
  for (const Open& open : set_) {
    if (!open.listener->is_tls()) continue;
    all.push_back({open.options.identity.certificate, open.listener->tls});
  }
  return all;
}

bool Listeners::a_default_demands() const {
  return std::any_of(set_.begin(), set_.end(), [](const Open& open) {
    return open.listener->is_tls() &&
           open.listener->tls->fallback().demands();
  });
}

}  // namespace fealty::router
