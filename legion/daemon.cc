#include "legion/daemon.h"

#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <utility>

#include "base/log.h"
#include "base/secret_file.h"
#include "base/version.h"
#include "legion/privileges.h"
#include "legion/stats.h"

namespace fealty::legion {
namespace {

constexpr std::int64_t kStatusEvery_ms = 1'000;
constexpr std::int64_t kForwarderRetry_ms = 5'000;
// After SIGTERM, for all hooks together.
constexpr std::int64_t kEndMost_ms = 30'000;

std::string host_name() {
  std::array<char, kHostNameMax + 1> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

bool is_everywhere(const Address& address) {
  const std::string text = address.to_string();
  return text.starts_with("0.0.0.0:") || text.starts_with("[::]:");
}

// `before`: whose file was read at the start, or null.
template <typename Kind>
Status fill_secret(Kind& options, const Kind* before, const std::string& whose) {
  if (options.secret_file.empty()) return Ok{};
  auto secret = read_secret_file(options.secret_file, 1);
  if (secret) {
    options.secret = *std::move(secret);
    return Ok{};
  }
  if (before == nullptr || ::access(options.secret_file.c_str(), R_OK) == 0) {
    return Error{whose + ": secret_file " + secret.error().message};
  }
  log::warning("{}: not readable as this user; the secret stays as it was",
               options.secret_file);
  options.secret = before->secret;
  return Ok{};
}

// Whether a running member can take the new options without being made anew.
bool is_same_member(const LegionOptions& one, const LegionOptions& other) {
  return one.name == other.name &&
         one.address.to_string() == other.address.to_string() &&
         one.interface == other.interface && one.wire == other.wire &&
         one.accept_weaker == other.accept_weaker &&
         one.cipher == other.cipher && one.secret == other.secret &&
         one.iv == other.iv &&
         one.election.tolerance_ms == other.election.tolerance_ms;
}

}  // namespace

Status load_secret(LegionOptions& options,
                   const std::vector<LegionOptions>& known) {
  const auto before =
      std::find_if(known.begin(), known.end(), [&](const auto& each) {
        return each.secret_file == options.secret_file;
      });
  return fill_secret(options, before == known.end() ? nullptr : &*before,
                     "legion " + options.name);
}

Status load_secret(ForwarderOptions& options, const ForwarderOptions* known) {
  const bool same_file =
      known != nullptr && known->secret_file == options.secret_file;
  const Status filled =
      fill_secret(options, same_file ? known : nullptr, "forwarder");
  if (filled && options.secret.size() < kSecretBytesLeast) {
    log::warning("forwarder: its secret has fewer than {} bytes, which may be "
                 "guessed: openssl rand -hex 32 makes a good one",
                 kSecretBytesLeast);
  }
  return filled;
}

Daemon::Daemon(Options options, Reload reload)
    : options_(std::move(options)), reload_(std::move(reload)),
      host_(host_name()),
      admin_(loop_, [this](std::string_view path) { return on_admin(path); }) {
  watchdog_.bind<&Daemon::on_watchdog>(loop_, this);
  reap_.bind<&Daemon::on_reap>(loop_, this);
  deadline_.bind<&Daemon::on_deadline>(loop_, this);
  forwarder_retry_.bind<&Daemon::on_forwarder_retry>(loop_, this);
}

Daemon::~Daemon() = default;

std::unique_ptr<Member> Daemon::make(const LegionOptions& options) {
  return std::make_unique<Member>(loop_, clock_, options,
                                  options_.alarm_command, host_);
}

// Before there is a thread: none but the loop is to get them.
void Daemon::watch_signals() {
  const auto watch = [this]<auto Method>(int signal) {
    signals_.push_back(std::make_unique<SignalWatcher>());
    signals_.back()->start<Method>(loop_, this, signal);
  };
  watch.operator()<&Daemon::on_end_signal>(SIGTERM);
  watch.operator()<&Daemon::on_end_signal>(SIGINT);
  watch.operator()<&Daemon::on_reload_signal>(SIGHUP);
  watch.operator()<&Daemon::on_other_signal>(SIGUSR1);
  watch.operator()<&Daemon::on_other_signal>(SIGUSR2);
}

Status Daemon::bind() {
  watch_signals();
  for (LegionOptions& options : options_.legions) {
    if (Status loaded = load_secret(options, {}); !loaded) return loaded;
    auto member = make(options);
    if (Status bound = member->bind(); !bound) {
      return Error{"legion " + options.name + ": " + bound.error().message};
    }
    members_.push_back(std::move(member));
  }
  for (const Address& each : options_.admin) {
    if (!is_everywhere(each)) continue;
    log::warning("admin {}: everybody who reaches this host may read it",
                 each.to_string());
  }
  if (options_.forwarder) {
    Status loaded = load_secret(*options_.forwarder, nullptr);
    if (!loaded) return loaded;
  }
  take_forwarder();
  return admin_.bind(options_.admin);
}

// Elections do not depend on it: what keeps it from its sockets may pass.
void Daemon::take_forwarder() {
  auto forwarder = make_forwarder(options_.forwarder);
  if (forwarder) {
    forwarder_ = *std::move(forwarder);
    return;
  }
  log::error("{}; tried again in {} s", forwarder.error().message,
             kForwarderRetry_ms / 1000);
  forwarder_retry_.start(kForwarderRetry_ms);
}

void Daemon::on_forwarder_retry() {
  if (forwarder_ != nullptr || ending_) return;
  take_forwarder();
  if (forwarder_ == nullptr) return;
  forwarder_->start();
  log::info("the forwarder has its sockets");
}

Result<std::unique_ptr<Forwarder>> Daemon::make_forwarder(
    const std::optional<ForwarderOptions>& options) {
  std::unique_ptr<Forwarder> made;
  if (!options) return made;
  made = std::make_unique<Forwarder>(loop_, clock_, *options, forwarder_.get());
  if (Status bound = made->bind(); !bound) return bound.error();
  return made;
}

Status Daemon::drop_privileges() {
  return legion::drop_privileges(options_.user);
}

int Daemon::run() {
  ::signal(SIGPIPE, SIG_IGN);
  for (const auto& member : members_) member->start();
  if (forwarder_ != nullptr) forwarder_->start();
  admin_.start();
  std::uint64_t watchdog_us = 0;
  const bool watched = ::sd_watchdog_enabled(0, &watchdog_us) > 0;
  const std::int64_t every_ms =
      watched ? std::clamp<std::int64_t>(
                    static_cast<std::int64_t>(watchdog_us / 2000), 1,
                    kStatusEvery_ms)
              : kStatusEvery_ms;
  watchdog_.start(every_ms, every_ms);
  log::info("fealty-legion {} ready: {} Legion(s), pid {}", kVersion,
            members_.size(), ::getpid());
  ::sd_notify(0, "READY=1");
  loop_.run();
  log::info("ended");
  return 0;
}

void Daemon::on_watchdog() {
  ::sd_notify(0, "WATCHDOG=1");
  say_status();
}

void Daemon::say_status() {
  std::string status;
  for (const auto& member : members_) {
    const Election& election = member->election();
    status += (status.empty() ? "" : ", ") + member->options().name + ": " +
              (election.role() == Role::kLord ? "Lord"
               : election.has_quorum()        ? "follows"
                                              : "no quorum");
  }
  if (status == status_) return;
  status_ = status;
  ::sd_notify(0, ("STATUS=" + status).c_str());
}

void Daemon::on_end_signal(int signal) {
  if (ending_) {
    log::info("signal {} again: ending at once", signal);
    return loop_.stop();
  }
  log::info("signal {}: leaving", signal);
  ending_ = true;
  ::sd_notify(0, "STOPPING=1");
  std::int64_t hook_ms = 0;
  for (const auto& member : members_) {
    hook_ms = std::max(hook_ms, member->options().hook_timeout_ms);
  }
  deadline_.start(std::min(2 * hook_ms, kEndMost_ms));
  while (!members_.empty()) retire(members_.size() - 1);
  if (leaving_.empty()) loop_.stop();
}

void Daemon::on_reload_signal(int) {
  if (ending_) return;
  ::sd_notify(0, "RELOADING=1");
  if (auto options = reload_()) apply(*std::move(options));
  ::sd_notify(0, "READY=1");
}

void Daemon::on_other_signal(int signal) {
  if (signal == SIGUSR1) return;  // stderr has nothing to reopen
  log::warning("signal {}: this version takes a new binary only by a restart; "
               "SIGTERM hands over within milliseconds",
               signal);
}

// All that may fail comes first: either everything is taken or nothing.
void Daemon::apply(Options options) {
  const auto refuse = [](const Error& error) {
    log::error("the new configuration is refused, the old one stays: {}",
               error.message);
  };
  if (options.user != options_.user) {
    log::warning("`user` needs a restart: it stays {}", options_.user);
  }
  if (!std::equal(options.admin.begin(), options.admin.end(),
                  options_.admin.begin(), options_.admin.end(),
                  [](const Address& one, const Address& other) {
                    return one.to_string() == other.to_string();
                  })) {
    log::warning("`admin` needs a restart: it stays as it was");
  }
  for (LegionOptions& each : options.legions) {
    if (const Status loaded = load_secret(each, options_.legions); !loaded) {
      return refuse(loaded.error());
    }
  }
  if (options.forwarder) {
    const Status loaded = load_secret(
        *options.forwarder, options_.forwarder ? &*options_.forwarder : nullptr);
    if (!loaded) return refuse(loaded.error());
  }
  auto forwarder = make_forwarder(options.forwarder);
  if (!forwarder) return refuse(forwarder.error());
  const auto find = [this](const LegionOptions& wanted) {
    return std::find_if(members_.begin(), members_.end(), [&](const auto& own) {
      return is_same_member(own->options(), wanted);
    });
  };
  // A changed Legion on the same socket can only be bound once the old one has
  // gone: that, too, would have to be undone, so it is refused.
  std::vector<std::unique_ptr<Member>> fresh;
  const std::string alarm_before =
      std::exchange(options_.alarm_command, options.alarm_command);
  for (const LegionOptions& each : options.legions) {
    if (find(each) != members_.end()) continue;
    auto member = make(each);
    if (const Status bound = member->bind(); !bound) {
      options_.alarm_command = alarm_before;
      return refuse(Error{"legion " + each.name + ": " + bound.error().message +
                          " (what a running Legion listens on, its wire and its "
                          "secret change by a restart)"});
    }
    fresh.push_back(std::move(member));
  }
  for (std::size_t i = members_.size(); i-- > 0;) {
    const LegionOptions& own = members_[i]->options();
    const auto wanted = std::find_if(
        options.legions.begin(), options.legions.end(),
        [&](const LegionOptions& each) { return is_same_member(own, each); });
    if (wanted == options.legions.end()) {
      retire(i);
    } else {
      members_[i]->reconfigure(*wanted, options.alarm_command);
    }
  }
  for (auto& member : fresh) {
    member->start();
    members_.push_back(std::move(member));
  }
  forwarder_ = *std::move(forwarder);
  if (forwarder_ != nullptr) forwarder_->start();
  forwarder_retry_.stop();
  options_.forwarder = options.forwarder;
  options_.legions = options.legions;
  log::info("reloaded: {} Legion(s)", members_.size());
}

void Daemon::retire(std::size_t index) {
  leaving_.push_back(std::move(members_[index]));
  members_.erase(members_.begin() + static_cast<std::ptrdiff_t>(index));
  Member* const member = leaving_.back().get();
  member->leave([this, member] { on_left(member); });
}

// Called by the member itself, which must not be destroyed below its own feet.
void Daemon::on_left(const Member* member) {
  left_.push_back(member);
  reap_.start(0);
}

void Daemon::on_reap() {
  for (const Member* const gone : std::exchange(left_, {})) {
    std::erase_if(leaving_, [&](const auto& own) { return own.get() == gone; });
  }
  if (ending_ && leaving_.empty()) loop_.stop();
}

// What runs is ended with the process, and the addresses have gone long ago.
void Daemon::on_deadline() {
  log::error("the hooks do not come to an end: ending without the rest of them");
  loop_.stop();
}

Admin::Answer Daemon::on_admin(std::string_view path) {
  const StatsSource source{members_, clock_, forwarder_.get(),
                           options_.forwarder.has_value()};
  if (path == "/") return {200, "application/json", stats_json(source)};
  if (path == "/metrics") {
    return {200, "text/plain; version=0.0.4", metrics_text(source)};
  }
  if (path == "/healthz") {
    return ending_ ? Admin::Answer{503, "text/plain", "leaving\n"}
                   : Admin::Answer{200, "text/plain", "ok\n"};
  }
  return {404, "text/plain", "there are / /metrics /healthz\n"};
}

}  // namespace fealty::legion
