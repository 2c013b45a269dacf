#include "router/router.h"

#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "base/version.h"
#include "router/expiry_alarm.h"
#include "router/listen.h"
#include "router/stats.h"
#include "subscription/key.h"

namespace fealty::router {
namespace {

unsigned worker_count(const Options& options) {
  if (options.workers != 0) return options.workers;
  return std::max(1U, std::thread::hardware_concurrency());
}

// Two descriptors a connection, and what the process needs besides. What the
// kernel does not grant shows as a pause of the acceptors, so it is said here.
void raise_descriptor_limit(std::size_t connections) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t wanted = 2 * connections + 1024;
  if (limit.rlim_cur >= wanted) return;
  rlimit raised{wanted, std::max<rlim_t>(wanted, limit.rlim_max)};
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) return;
  raised = {limit.rlim_max, limit.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &raised);
  if (limit.rlim_max < wanted) {
    log::warning(
        "at most {} descriptors may be open, {} are wanted for "
        "limits.connections: raise LimitNOFILE or lower the limit",
        limit.rlim_max, wanted);
  }
}

bool serves_https(const Options& options) {
  return std::any_of(options.listeners.begin(), options.listeners.end(),
                     [](const ListenerOptions& listener) {
                       return listener.protocol == ListenerProtocol::kHttps;
                     });
}

}  // namespace

Router::Router(const Options& options,
               const subscription::Options& subscription)
    : options_(options), spawner_(clock_, options.emperor),
      identities_(loop_, clock_, options.tls),
      subscriptions_(loop_, clock_, subscription),
      published_(std::make_shared<const subscription::Snapshot>()),
      admin_(loop_, [this](const Admin::Request& request) {
        return on_admin(request);
      }) {
  shared_.sleepers.open<&Router::on_sleepers>(loop_, this);
  if (options.health_check) {
    health_.emplace(loop_, clock_, subscriptions_.table(),
                    *options.health_check, options.node_path_prefixes);
  }
  progress_.start<&Router::on_worker_progress>(loop_, this);
  drain_timer_.bind<&Router::on_drain_deadline>(loop_, this);
  for (unsigned i = 0; i < worker_count(options); ++i) {
    workers_.push_back(std::make_unique<Worker>(options, shared_,
                                                [this] { progress_.send(); }));
  }
}

Router::~Router() {
  for (const auto& worker : workers_) worker->stop();
  for (auto& thread : threads_) thread.join();
}

Status Router::bind() {
  raise_descriptor_limit(options_.limits.connections);
  if (Status loaded = load_sticky_secret(); !loaded) return loaded;
  if (Status loaded = identities_.load(); !loaded) return loaded;
  for (const ListenerOptions& listener : options_.listeners) {
    if (Status bound = bind_listener(listener); !bound) return bound;
  }
  if (Status bound = bind_admin(); !bound) return bound;
  take_certificates();
  return subscriptions_.bind();
}

Status Router::bind_admin() {
  if (Status bound = admin_.bind(options_.admin); !bound) return bound;
  for (const Address& address : admin_.bound()) {
    subscriptions_.add_own_socket(address);
  }
  return Ok{};
}

Status Router::load_sticky_secret() {
  if (options_.sticky_secret_file.empty()) return Ok{};
  const auto secret = StickyCookie::load_secret(options_.sticky_secret_file);
  if (!secret) return secret.error();
  shared_.sticky = StickyCookie(kStickyCookie, *secret);
  return Ok{};
}

// Where nobody speaks TLS, announcements may say of certificates what they like.
void Router::take_certificates() {
  if (!serves_https(options_)) return;
  subscriptions_.set_hooks(
      {.on_material =
           [this](std::string_view key, const subscription::Hash128&,
                  const subscription::SniMaterial& material) {
             return identities_.on_material(key, material);
           },
       .on_pool_gone =
           [this](std::string_view key) { identities_.on_pool_gone(key); }});
}

// TCP: a socket a worker, and the kernel spreads the connections. A Unix or an
// inherited socket is one, which all workers accept from.
Status Router::bind_listener(const ListenerOptions& listener) {
  Listener its;
  its.redirect_to_https = listener.redirect_to_https;
  if (listener.protocol == ListenerProtocol::kHttps) {
    auto context = identities_.context_for(listener.identity);
    if (!context) {
      return Error{"listener " + listener.text + ": " +
                   context.error().message};
    }
    its.tls = *std::move(context);
  }
  if (listener.inherited_fd < 0 && listener.address.is_ip()) {
    if (Status free = check_address_free(listener.address); !free) return free;
    Address address = listener.address;
    for (const auto& worker : workers_) {
      auto fd = listen_on(address, {true, {}});
      if (!fd) return fd.error();
      address = bound_address(fd->get());  // port 0: the same for all
      worker->add_listener(std::move(*fd), its);
    }
    note_bound(its, address);
    return Ok{};
  }
  auto first = listener.inherited_fd >= 0
                   ? adopt_listener(listener.inherited_fd)
                   : listen_on(listener.address, {false, listener.mode});
  if (!first) return first.error();
  if (listener.inherited_fd < 0) socket_files_.emplace_back(listener.address);
  for (const auto& worker : workers_) {
    auto fd = adopt_listener(first->get());
    if (!fd) return fd.error();
    worker->add_listener(std::move(*fd), its);
  }
  note_bound(its, bound_address(first->get()));
  return Ok{};
}

void Router::note_bound(const Listener& listener, const Address& address) {
  subscriptions_.add_own_socket(address);
  note_https(listener, address);
}

// The first TCP port that speaks HTTPS is where plain HTTP is redirected to.
void Router::note_https(const Listener& listener, const Address& address) {
  if (!listener.is_tls() || !address.is_ip() || has_https_port_) return;
  has_https_port_ = true;
  shared_.https_port = std::to_string(address.port());
}

Status Router::drop_privileges() {
  if (::geteuid() != 0 || options_.user == "root") return Ok{};
  const bool number =
      options_.user.find_first_not_of("0123456789") == std::string::npos;
  const passwd* const user =
      number ? ::getpwuid(static_cast<uid_t>(std::stoul(options_.user)))
             : ::getpwnam(options_.user.c_str());
  if (user == nullptr) {
    return Error{"no user '" + options_.user +
                 "' to become; set `user` (root must be written out)"};
  }
  if (::initgroups(user->pw_name, user->pw_gid) != 0 ||
      ::setgid(user->pw_gid) != 0 || ::setuid(user->pw_uid) != 0) {
    return Error{"cannot become " + options_.user + ": " +
                 std::strerror(errno)};
  }
  return Ok{};
}

// Requests come first: packets that arrive for the control thread do not
// interrupt a worker at work on the same core. It still gets its share.
void Router::yield_to_workers() {
  const sched_param priority{};
  if (::sched_setscheduler(0, SCHED_BATCH, &priority) != 0) {
    log::debug("the control thread keeps its scheduling class: {}",
               std::strerror(errno));
  }
}

int Router::run() {
  ::signal(SIGPIPE, SIG_IGN);
  for (const int signal : {SIGTERM, SIGINT}) {
    signals_.push_back(std::make_unique<SignalWatcher>());
    signals_.back()->start<&Router::on_end_signal>(loop_, this, signal);
  }
  for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2}) {
    signals_.push_back(std::make_unique<SignalWatcher>());
    signals_.back()->start<&Router::on_other_signal>(loop_, this, signal);
  }
  if (!options_.expiry_alarm_command.empty()) ::signal(SIGCHLD, SIG_IGN);
  identities_.start(
      [this](const TlsState& state) {
        for (const auto& worker : workers_) worker->publish_tls(state);
      },
      [this](const auto& entry) { on_expiry(entry); });
  subscriptions_.start([this](auto snapshot) { publish(std::move(snapshot)); });
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    threads_.emplace_back([this, i] {
      const std::string name = "worker-" + std::to_string(i);
      ::prctl(PR_SET_NAME, name.c_str());
      workers_[i]->run();
    });
  }
  yield_to_workers();  // after they have begun: they would inherit it
  if (health_) health_->start();
  admin_.start();
  for (const auto& listener : options_.listeners) {
    log::info("listening on {}", listener.text);
  }
  log::info("fealty-router {} ready: {} workers, pid {}", kVersion,
            workers_.size(), ::getpid());
  ::sd_notify(0, "READY=1");
  loop_.run();
  log::info("ended");
  return 0;
}

void Router::publish(std::shared_ptr<const subscription::Snapshot> snapshot) {
  identities_.flush();
  published_ = snapshot;
  for (const auto& worker : workers_) worker->publish(snapshot);
}

void Router::on_expiry(const sni::ExpiryScan::Entry& entry) {
  if (options_.expiry_alarm_command.empty()) return;
  const Status started =
      run_expiry_alarm(options_.expiry_alarm_command, entry.name,
                       entry.not_after_s, clock_.unix_s());
  if (!started) log::error("{}", started.error().message);
}

void Router::on_worker_progress() {
  std::uint64_t adopted = UINT64_MAX;
  bool drained = true;
  for (const auto& worker : workers_) {
    adopted = std::min(adopted, worker->adopted_version());
    drained = drained && worker->drained();
  }
  subscriptions_.on_adopted(adopted);
  if (draining_ && drained) loop_.stop();
}

// Requests wait for vassals that sleep.
void Router::on_sleepers() {
  shared_.sleepers.take(sleepers_);
  for (const subscription::PoolRef& pool : sleepers_) spawner_.ask(*pool);
  sleepers_.clear();
}

void Router::on_end_signal(int signal) {
  if (draining_) {
    log::info("signal {} again: ending at once", signal);
    loop_.stop();
    return;
  }
  log::info("signal {}: draining for at most {} ms", signal,
            options_.timeouts.drain_ms);
  begin_drain();
}

void Router::begin_drain() {
  draining_ = true;
  ::sd_notify(0, "STOPPING=1");
  for (const auto& worker : workers_) worker->drain();
  drain_timer_.start(options_.timeouts.drain_ms);
}

void Router::on_drain_deadline() {
  log::warning("requests were still running after {} ms: cut off",
               options_.timeouts.drain_ms);
  loop_.stop();
}

void Router::on_other_signal(int signal) {
  if (signal == SIGUSR1) return;  // stderr has nothing to reopen
  log::warning(
      "signal {}: this version takes a new configuration or binary only by a "
      "restart",
      signal);
}

Admin::Answer Router::on_admin(const Admin::Request& request) {
  constexpr std::string_view kOrders[] = {"/drain", "/undrain"};
  constexpr std::string_view kPages[] = {"/", "/metrics", "/healthz",
                                         "/explain"};
  const auto is_among = [&](const auto& paths) {
    return std::find(std::begin(paths), std::end(paths), request.path) !=
           std::end(paths);
  };
  if (is_among(kOrders)) {
    if (request.method != "POST") {
      return {405, "text/plain", "POST only\n", "POST"};
    }
    return drain(request.query, request.path == "/drain");
  }
  if (!is_among(kPages)) {
    return {404, "text/plain",
            "there are / /metrics /healthz /explain?host=HOST[&path=PATH], and for "
            "POST "
            "/drain?key=KEY&node=NODE /undrain?key=KEY&node=NODE\n"};
  }
  if (request.method != "GET") {
    return {405, "text/plain", "GET only\n", "GET, HEAD"};
  }
  return show(request);
}

Admin::Answer Router::show(const Admin::Request& request) const {
  const StatsSource source{options_, subscriptions_, *published_, workers_,
                           shared_,  spawner_, health_ ? &*health_ : nullptr,
                           identities_, clock_};
  if (request.path == "/") {
    return {200, "application/json", stats_json(source)};
  }
  if (request.path == "/metrics") {
    return {200, "text/plain; version=0.0.4", metrics_text(source)};
  }
  if (request.path == "/healthz") {
    return draining_ ? Admin::Answer{503, "text/plain", "draining\n"}
                     : Admin::Answer{200, "text/plain", "ok\n"};
  }
  const std::string host = query_value(request.query, "host");
  if (host.empty()) {
    return {400, "text/plain", "/explain?host=HOST[&path=PATH]\n"};
  }
  return {200, "application/json",
          explain_json(source, host, query_value(request.query, "path"))};
}

Admin::Answer Router::drain(std::string_view query, bool drained) {
  using Outcome = subscription::Table::Drain;
  const std::string asked = query_value(query, "key");
  const std::string node = query_value(query, "node");
  if (asked.empty() || node.empty()) {
    return {400, "text/plain", "?key=KEY&node=NODE is needed\n"};
  }
  std::string key;
  const Outcome outcome =
      subscription::normalise_key(asked, key)
          ? subscriptions_.set_drained(key, node, drained)
          : Outcome::kNoKey;
  const std::string what = node + " of " + key;
  const std::string_view state = drained ? "drained" : "in use";
  switch (outcome) {
    case Outcome::kNoKey:
      return {404, "text/plain", "nothing is subscribed to " + asked + "\n"};
    case Outcome::kNoNode:
      return {404, "text/plain",
              key + " has no node " + node + "; GET / lists its nodes\n"};
    case Outcome::kAlready:
      return {200, "text/plain",
              fmt::format("{} was {} already\n", what, state)};
    case Outcome::kDone: break;
  }
  return {200, "text/plain", fmt::format("{} is {}\n", what, state)};
}

}  // namespace fealty::router
