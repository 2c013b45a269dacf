#include "api/daemon.h"

#include <ares.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sodium.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "base/privilege.h"
#include "base/version.h"

namespace fealty::api {
namespace {

constexpr std::size_t kAdminThreads = 4;
constexpr std::string_view kKeyPurpose = "settings.key_check";
constexpr std::string_view kKeyProof = "fealty";

HttpServer::Settings public_settings(const Options& options) {
  return {options.listen, options.listen_mode, Entrance::kPublic,
          options.limits.threads, options.trusted_proxies};
}
HttpServer::Settings admin_settings(const Options& options) {
  return {options.admin_listen, options.admin_listen_mode, Entrance::kAdmin,
          kAdminThreads, {}};
}

const passwd* find_user(const std::string& user) {
  const bool is_number = user.find_first_not_of("0123456789") == user.npos;
  return is_number ? ::getpwuid(static_cast<uid_t>(std::stoul(user)))
                   : ::getpwnam(user.c_str());
}

}  // namespace

Daemon::Daemon(Options options, std::function<void()> check)
    : options_(std::move(options)),
      check_(std::move(check)),
      resolver_(options_.dns.servers),
      public_(public_settings(options_),
              [this](const Request& request) {
                return service_->answer(request);
              }),
      admin_(admin_settings(options_), [this](const Request& request) {
        return service_->answer(request);
      }) {}

Daemon::~Daemon() { ares_library_cleanup(); }

Status Daemon::bind() {
  if (::sodium_init() < 0) return Error{"libsodium cannot be used"};
  if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
    return Error{"c-ares cannot be used"};
  }
  const std::string& path = options_.secrets_key_file;
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 && errno == ENOENT) {
    Status made = make_key_file(path);
    if (!made) return made;
    log::info("made {}: keep a copy of it apart from the database's", path);
  }
  auto sealer = load_sealer(path);
  if (!sealer) return sealer.error();
  sealer_ = *sealer;
  Status bound = public_.bind();
  if (bound) bound = admin_.bind();
  return bound;
}

Status Daemon::drop_privileges() {
  if (::geteuid() != 0 || options_.user == "root") return Ok{};
  const passwd* const user = find_user(options_.user);
  if (user == nullptr) {
    return Error{"no user '" + options_.user +
                 "' to become; set `user` (root must be written out)"};
  }
  if (::initgroups(user->pw_name, user->pw_gid) != 0) {
    return Error{"cannot become " + options_.user + ": " +
                 std::strerror(errno)};
  }
  Status became = become_user(user->pw_uid, user->pw_gid);
  if (became) renounce_reading();
  return became;
}

// The database's secrets were sealed with this key, and not with another.
Status Daemon::check_key() {
  bool fits = true;
  const Answer answer = database_->write([&](Transaction& transaction) {
    const auto row = transaction.one(
        "value", "FROM settings WHERE name = 'key_check'");
    if (row) {
      fits = sealer_->open(row->text("value"), kKeyPurpose).has_value();
    } else {
      transaction.run("INSERT INTO settings (name, value) VALUES (?, ?)",
                      {std::string("key_check"),
                       sealer_->seal(kKeyProof, kKeyPurpose)});
    }
    return ok_message();
  });
  if (answer.refuses()) return Error{"the database cannot be used"};
  if (!fits) {
    return Error{"secrets_key_file " + options_.secrets_key_file +
                 " is not the key that this database was written with"};
  }
  return Ok{};
}

Status Daemon::open() {
  ::umask(0077);
  passwords_.emplace(static_cast<std::ptrdiff_t>(options_.limits.passwords),
                     clock_);
  domains_.emplace(resolver_, options_.dns);
  auto database = Database::open(options_.database, options_.limits.threads);
  if (!database) return database.error();
  database_ = *std::move(database);
  Status key = check_key();
  if (!key) return key;
  service_.emplace(*database_,
                   Tools{options_, clock_, *sealer_, *passwords_, *domains_});
  return Ok{};
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
  watch.operator()<&Daemon::on_other_signal>(SIGUSR2);
}

int Daemon::run() {
  ended_.start<&Daemon::on_ended>(loop_, this);
  watch_signals();                  // before threads, which must not get them
  public_.start();
  admin_.start();
  log::info("listening on {}, for administration on {}",
            options_.listen.to_string(), options_.admin_listen.to_string());
  log::info("fealty-api {} ready: {} threads, pid {}", kVersion,
            options_.limits.threads, ::getpid());
  if (!options_.subscribe.server.empty()) {
    announcer_.emplace(loop_, options_.subscribe, options_.listen);
    announcer_->start();
  }
  ::sd_notify(0, "READY=1");
  loop_.run();
  ender_.join();
  return 0;
}

void Daemon::on_end_signal(int) {
  if (ending_) ::_exit(0);
  ending_ = true;
  log::info("ending: requests under way are answered");
  ::sd_notify(0, "STOPPING=1");
  // A second signal is still heard meanwhile.
  // The routers are told first.
  if (announcer_) announcer_->stop();
  ender_ = std::thread([this] {
    public_.stop();
    admin_.stop();
    ended_.send();
  });
}

void Daemon::on_reload_signal(int) { check_(); }

void Daemon::on_other_signal(int) {}

void Daemon::on_ended() { loop_.stop(); }

}  // namespace fealty::api
