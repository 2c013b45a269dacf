// How a configuration comes into use: at the start, and at a SIGHUP.

#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "base/hkdf.h"
#include "base/log.h"
#include "base/secret_file.h"
#include "router/router.h"

namespace fealty::router {
namespace {

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

Result<Router::Plan> Router::prepare(Configuration configuration) {
  const Options& options = configuration.router;
  auto sticky = sticky_for(options);
  if (!sticky) return sticky.error();
  auto cluster_key = cluster_key_for(options);
  if (!cluster_key) return cluster_key.error();
  auto tls = identities_.read(options.tls);
  if (!tls) return tls.error();
  auto listeners = listeners_.prepare(options.listeners, identities_, *tls);
  if (!listeners) return listeners.error();
  auto access_log = open_access_log(options);
  if (!access_log) return access_log.error();
  auto admin = admin_.prepare(options.admin);
  if (!admin) return admin.error();
  std::vector<Address> own_sockets = Admin::bound(*admin);
  for (const auto& open : *listeners) {
    own_sockets.push_back(open.bound->address);
  }
  auto subscription = subscriptions_.prepare(configuration.subscription,
                                             std::move(own_sockets));
  if (!subscription) return subscription.error();
  return Plan{std::move(configuration), *std::move(listeners),
              *std::move(admin),        *std::move(tls),
              *std::move(subscription), *std::move(sticky),
              *std::move(cluster_key),  *std::move(access_log)};
}

// A secret of this run's own stays for as long as it does.
Result<StickyCookie> Router::sticky_for(const Options& options) const {
  const std::string& file = options.sticky_secret_file;
  if (!file.empty()) {
    const auto secret = StickyCookie::load_secret(file);
    if (!secret && inherited_ != nullptr) return inherited_sticky();
    if (!secret) return secret.error();
    return StickyCookie(kStickyCookie, *secret);
  }
  if (settings_ != nullptr && options_.sticky_secret_file.empty()) {
    return settings_->sticky;
  }
  if (inherited_ != nullptr) return inherited_sticky();
  return StickyCookie(kStickyCookie, StickyCookie::random_secret());
}

StickyCookie Router::inherited_sticky() const {
  StickyCookie::Secret secret = StickyCookie::random_secret();
  if (inherited_->sticky_secret.size() == secret.size()) {
    std::copy_n(inherited_->sticky_secret.begin(), secret.size(),
                secret.begin());
  }
  return StickyCookie(kStickyCookie, secret);
}

// What was read as root, and cannot be read again as `user`, stays.
Result<std::string> Router::cluster_key_for(const Options& options) const {
  const std::string& file = options.cluster_secret_file;
  if (file.empty()) return std::string();
  auto secret = read_secret_file(file, kSecretBytesLeast);
  if (secret) {
    std::string key(RequestSeal::kKeyBytes, '\0');
    derive_key(*secret, RequestSeal::kPurpose,
               {reinterpret_cast<unsigned char*>(key.data()), key.size()});
    wipe(*secret);
    return key;
  }
  const std::string& before =
      inherited_ != nullptr ? inherited_->cluster_key : cluster_key_;
  const bool may_stay = inherited_ != nullptr
                            ? !before.empty()
                            : options_.cluster_secret_file == file;
  if (!may_stay) return Error{"cluster.secret_file: " + secret.error().message};
  log::error("cluster.secret_file: {}: what was read before stays",
             secret.error().message);
  return before;
}

void Router::adopt(Plan plan) {
  const Options before =
      std::exchange(options_, std::move(plan.configuration.router));
  if (!running_ ||
      options_.limits.connections != before.limits.connections) {
    raise_descriptor_limit(options_.limits.connections);
  }
  if (!options_.expiry_alarm_command.empty()) ::signal(SIGCHLD, SIG_IGN);
  listeners_.adopt(std::move(plan.listeners));
  admin_.adopt(std::move(plan.admin));
  if (identities_.adopt(std::move(plan.tls))) {
    subscriptions_.read_materials_again();
  }
  identities_.set_defaults(listeners_.defaults());
  take_certificates();
  subscriptions_.adopt(std::move(plan.subscription));
  adopt_health_check(options_.health_check);
  adopt_access_log(std::move(plan.access_log));
  wipe(cluster_key_);
  cluster_key_ = std::move(plan.cluster_key);
  settings_ = std::make_shared<const Settings>(
      Settings{options_, listeners_.https_port(),
               listeners_.a_default_demands(), std::move(plan.sticky),
               RequestSeal::with(cluster_key_),
               options_.access_log ? &*access_log_ : nullptr});
  ++setup_version_;
  for (unsigned i = 0; i < workers_.size(); ++i) {
    workers_[i]->set_up(setup_of(i));
  }
}

WorkerSetup Router::setup_of(unsigned worker) const {
  return {settings_, listeners_.of_worker(worker), setup_version_, worker};
}

// Where nobody speaks TLS, announcements may say of certificates what they like;
// what they demand of clients counts all the same.
void Router::take_certificates() {
  using subscription::Hash128;
  subscription::Server::Hooks hooks;
  if (serves_https(options_)) {
    hooks.materials.deliver = [this](
                                  std::string_view key, const Hash128& source,
                                  const subscription::SniMaterial& material) {
      return identities_.on_material(key, source, material);
    };
    hooks.materials.guards = [this](std::string_view key,
                                    const Hash128& source) {
      return identities_.guards(key, source);
    };
  }
  hooks.materials.retire = [this](std::string_view key,
                                  const Hash128& source) {
    identities_.on_retired(key, source);
  };
  hooks.on_pool_gone = [this](std::string_view key) {
    identities_.on_pool_gone(key);
  };
  subscriptions_.set_hooks(std::move(hooks));
}

// Whom nobody asks any more is taken to be well.
void Router::adopt_health_check(const std::optional<HealthCheck>& check) {
  if (health_ && check && health_->is_of(*check, options_.node_path_prefixes)) {
    return;
  }
  const bool ends = health_ && !check;
  health_.reset();
  if (ends) {
    subscriptions_.table().visit_nodes(
        0, kShards,
        [](subscription::NodeRecord& node) { node.set_checked(true); });
  }
  if (!check) return;
  health_.emplace(loop_, clock_, subscriptions_.table(), *check,
                  options_.node_path_prefixes);
  if (running_) health_->start();
}

// No file: it is off, or stays open where it is and cannot be opened again.
// That is no reason to go without the rest of a new configuration.
Result<UniqueFd> Router::open_access_log(const Options& options) const {
  if (!options.access_log) return UniqueFd();
  const std::string& path = options.access_log->path;
  auto file = AccessLog::open(path, owner_to_be(options));
  const bool has_it = running_ && options_.access_log &&
                      options_.access_log->path == path;
  if (file || !has_it) return file;
  log::error("{}: lines go where they went before", file.error().message);
  return UniqueFd();
}

// Once made it stays: a worker may still have a line for it.
void Router::adopt_access_log(UniqueFd file) {
  if (!file.valid()) return;
  if (!access_log_) access_log_.emplace(listeners_.workers());
  access_log_->write_to(std::move(file));
  if (running_) access_log_->start();
}

void Router::reopen_access_log() {
  if (!options_.access_log) return;
  auto file = AccessLog::open(options_.access_log->path);
  if (file) return access_log_->write_to(*std::move(file));
  log::error("{}: lines go where they went before", file.error().message);
}

// ------------------------------------------------------------------- SIGHUP

void Router::reload() {
  if (draining_ || retired_ || successor_.is_starting()) {
    return log::warning("SIGHUP: not now; it ends, or a successor starts");
  }
  ::sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
               static_cast<long long>(clock_.monotonic_ms()) * 1000);
  std::optional<Configuration> configuration = load_();
  if (configuration) {
    keep_what_cannot_change(configuration->router);
    auto plan = prepare(*std::move(configuration));
    if (plan) {
      reloading_ = true;
      return adopt(*std::move(plan));
    }
    log::error("{}", plan.error().message);
  }
  log::error("the configuration was not reloaded: the one in use stays");
  ::sd_notify(0, "READY=1");
}

void Router::keep_what_cannot_change(Options& options) const {
  const auto keep = [](std::string_view what, auto& wanted, const auto& own) {
    if (wanted == own) return;
    log::warning("{} cannot change while the router runs: it stays as it is "
                 "until a restart", what);
    wanted = own;
  };
  keep("user", options.user, options_.user);
  keep("workers", options.workers, options_.workers);
}

void Router::on_reloaded() {
  reloading_ = false;
  log::info("the configuration was reloaded");
  for (const auto& listener : options_.listeners) {
    log::info("listening on {}", listener.text);
  }
  ::sd_notify(0, "READY=1");
  if (std::exchange(upgrade_wanted_, false)) upgrade();
}

}  // namespace fealty::router
