#include "api/daemon.h"

#include <ares.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sodium.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "api/reseal.h"
#include "base/log.h"
#include "base/privilege.h"
#include "base/version.h"

namespace fealty::api {
namespace {

constexpr std::size_t kAdminThreads = 4;

HttpServer::Settings admin_settings(const Options& options) {
  HttpServer::Settings settings;
  settings.address = options.admin_listen;
  settings.mode = options.admin_listen_mode;
  settings.entrance = Entrance::kAdmin;
  settings.threads = kAdminThreads;
  return settings;
}
HttpServer::Settings public_settings(const Options& options) {
  HttpServer::Settings settings;
  settings.address = options.listen;
  settings.mode = options.listen_mode;
  settings.threads = options.limits.threads;
  settings.connections = options.limits.connections;
  settings.per_network = options.limits.per_network;
  settings.followers = options.limits.followers;
  return settings;
}

bool trusts(const Options& options, const Address& address) {
  return std::any_of(
      options.trusted_proxies.begin(), options.trusted_proxies.end(),
      [&](const Network& network) { return network.contains(address); });
}

// What differs that only a start can change.
std::string needs_a_start(const Options& one, const Options& other) {
  std::string names;
  const auto add = [&](const char* name, bool same) {
    if (!same) names += (names.empty() ? "" : ", ") + std::string(name);
  };
  const auto text = [](const Address& address) { return address.to_string(); };
  add("user", one.user == other.user);
  add("listen", text(one.listen) == text(other.listen) &&
                    one.listen_mode == other.listen_mode);
  add("admin_listen", text(one.admin_listen) == text(other.admin_listen) &&
                          one.admin_listen_mode == other.admin_listen_mode);
  add("database", one.database == other.database);
  add("secrets_key_file", one.secrets_key_file == other.secrets_key_file);
  add("dns", one.dns == other.dns);
  add("limits.threads", one.limits.threads == other.limits.threads);
  add("limits.connections", one.limits.connections == other.limits.connections);
  add("limits.per_network", one.limits.per_network == other.limits.per_network);
  add("limits.followers", one.limits.followers == other.limits.followers);
  add("limits.passwords", one.limits.passwords == other.limits.passwords);
  return names;
}

const passwd* find_user(const std::string& user) {
  const bool is_number = user.find_first_not_of("0123456789") == user.npos;
  return is_number ? ::getpwuid(static_cast<uid_t>(std::stoul(user)))
                   : ::getpwnam(user.c_str());
}

}  // namespace

Daemon::Daemon(Options options, Load load, Program program)
    : started_(std::move(options)),
      options_(started_),
      load_(std::move(load)),
      resolver_(started_.dns.servers),
      public_([this] {
        HttpServer::Settings settings = public_settings(started_);
        settings.trusts = [this](const Address& address) {
          return trusts(*options_.get(), address);
        };
        return settings;
      }(), handlers()),
      admin_(admin_settings(started_), handlers()),
      successor_(loop_, std::move(program)) {}

HttpServer::Handlers Daemon::handlers() {
  return {[this](Request& request) { return service_->admit(request); },
          [this](Request& request) { return service_->answer(request); },
          [this](std::int64_t id) { return service_->events_after(id); },
          [this](Entrance entrance, Answer& answer) {
            service_->complete(entrance, answer);
          }};
}

Daemon::~Daemon() {
  // It does not serve: all is the other process's still.
  if (predecessor_) {
    for (SocketFile& file : outdated_) file.leave();
  }
  ares_library_cleanup();
}

Status Daemon::bind() {
  if (::sodium_init() < 0) return Error{"libsodium cannot be used"};
  if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
    return Error{"c-ares cannot be used"};
  }
  if (!sealer_) {
    Status read = read_key();
    if (!read) return read;
  }
  Status bound = public_.bind();
  if (bound) bound = admin_.bind();
  return bound;
}

// From its file, which is made where there is none.
Status Daemon::read_key() {
  const std::string& path = started_.secrets_key_file;
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 && errno == ENOENT) {
    Status made = make_key_file(path);
    if (!made) return made;
    made_key_ = true;
    log::info("made {}: keep a copy of it apart from the database's", path);
  }
  auto sealer = load_sealer(path);
  if (!sealer) return sealer.error();
  sealer_ = *sealer;
  return Ok{};
}

Status Daemon::drop_privileges() {
  if (::geteuid() != 0 || started_.user == "root") return Ok{};
  const passwd* const user = find_user(started_.user);
  if (user == nullptr) {
    return Error{"no user '" + started_.user +
                 "' to become; set `user` (root must be written out)"};
  }
  if (::initgroups(user->pw_name, user->pw_gid) != 0) {
    return Error{"cannot become " + started_.user + ": " +
                 std::strerror(errno)};
  }
  Status became = become_user(user->pw_uid, user->pw_gid);
  if (became) renounce_reading();
  return became;
}

Status Daemon::open() {
  ::umask(0077);
  passwords_.emplace(started_.limits.passwords, clock_);
  domains_.emplace(resolver_, started_.dns);
  auto database = Database::open(started_.database, started_.limits.threads + 2);
  if (!database) return database.error();
  database_ = *std::move(database);
  const auto sealed = check_seals(*database_, *sealer_);
  if (!sealed) {
    // That one belongs there.
    const std::string& file = started_.secrets_key_file;
    if (made_key_ && sealed.error().is_foreign) {
      const bool is_gone = ::unlink(file.c_str()) == 0;
      log::warning("{} is of no use: {}", file, is_gone ? "removed" : "remove it");
    }
    return Error{"secrets_key_file " + started_.secrets_key_file + ": " +
                 sealed.error().message};
  }
  service_.emplace(*database_,
                   Tools{options_, clock_, *sealer_, *passwords_, *domains_});
  warn_of_servers();
  return Ok{};
}

// Any certificate of the authority that the router asks is theirs.
void Daemon::warn_of_servers() {
  if (started_.domain.empty()) {
    log::warning("no `domain` is set, and no `subscribe.key`: servers are refused");
  }
  static_cast<void>(database_->read([](Transaction& transaction) {
    const Rows rows = transaction.select(
        "name", "FROM servers WHERE subject = '' ORDER BY id LIMIT 10");
    for (const Row& row : rows) {
      log::warning("server {}: no `subject` is set, so that any certificate of "
                   "its authority counts for it",
                   log::printable(row.text("name")));
    }
    return ok_message();
  }));
}

void Daemon::watch_signals() {
  ::signal(SIGPIPE, SIG_IGN);
  const auto watch = [this]<auto Method>(int number) {
    signals_.push_back(std::make_unique<SignalWatcher>());
    signals_.back()->start<Method>(loop_, this, number);
  };
  watch.operator()<&Daemon::on_end_signal>(SIGTERM);
  watch.operator()<&Daemon::on_end_signal>(SIGINT);
  watch.operator()<&Daemon::on_reload_signal>(SIGHUP);
  watch.operator()<&Daemon::on_other_signal>(SIGUSR1);
  watch.operator()<&Daemon::on_upgrade_signal>(SIGUSR2);
}

int Daemon::run() {
  ended_.start<&Daemon::on_ended>(loop_, this);
  drain_.bind<&Daemon::on_drained>(loop_, this);
  watch_signals();                  // before threads, which must not get them
  public_.start();
  admin_.start();
  log::info("listening on {}, for administration on {}",
            started_.listen.to_string(), started_.admin_listen.to_string());
  log::info("fealty-api {} ready: {} threads, pid {}", kVersion,
            started_.limits.threads, ::getpid());
  housekeeper_.emplace(*database_, options_, clock_);
  if (predecessor_) own_files();
  announce(started_.subscribe);
  ::sd_notify(0, "READY=1");
  loop_.run();
  ender_.join();
  return 0;
}

void Daemon::on_end_signal(int) {
  if (std::exchange(told_to_end_, true)) ::_exit(0);
  if (ending_) return;
  successor_.give_up();
  log::info("ending: requests under way are answered");
  ::sd_notify(0, "STOPPING=1");
  // The routers are told first.
  if (announcer_) announcer_->stop();
  end();
}

// Answers what is under way; a signal is still heard meanwhile.
void Daemon::end() {
  ending_ = true;
  drain_.start(options_.get()->drain_ms);
  ender_ = std::thread([this] {
    public_.stop();
    admin_.stop();
    ended_.send();
  });
}

void Daemon::on_drained() {
  log::warning("requests were still under way after `drain`: they are cut");
  ::_exit(0);
}

void Daemon::on_reload_signal(int) {
  if (ending_ || successor_.is_starting()) return log::warning("SIGHUP: not now");
  auto loaded = load_();
  if (!loaded) return log::error("the configuration is broken: the old one stays");
  const std::string later = needs_a_start(started_, *loaded);
  if (!later.empty()) log::warning("{}: a start alone changes that", later);
  const bool announced_alike = options_.get()->subscribe == loaded->subscribe;
  const SubscribeOptions subscribe = loaded->subscribe;
  options_.publish(*std::move(loaded));
  if (!announced_alike && !ending_) announce(subscribe);
  log::info("the new configuration counts");
}

// SIGUSR1: there are no log files.
void Daemon::on_other_signal(int) {}

void Daemon::announce(const SubscribeOptions& options) {
  if (announcer_) announcer_->stop();
  announcer_.reset();
  if (options.server.empty()) return;
  announcer_.emplace(loop_, options, started_.listen);
  announcer_->start();
}

void Daemon::on_ended() { loop_.stop(); }

}  // namespace fealty::api
