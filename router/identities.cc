#include "router/identities.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/fd.h"
#include "base/key_block.h"
#include "base/key_hash.h"
#include "base/log.h"
#include "base/secret_file.h"
#include "subscription/key.h"

namespace fealty::router {
namespace {

constexpr std::size_t kFileBytesMax = 256 * 1024;
constexpr std::int64_t kDay_s = 24 * 3600;
// In place of a key's hash: what a predecessor of this process knew.
constexpr std::uint64_t kHandedOver = 0;

std::string_view name_of(std::string_view key) {
  return subscription::without_port(subscription::without_mountpoint(key));
}

sni::Origin origin_of(std::string_view key,
                      const subscription::Hash128& source) {
  return {hash_key(key), source.low};
}

// A file's bytes, wiped when they are not needed any more.
struct FileText {
  FileText() = default;
  FileText(FileText&&) = default;
  FileText& operator=(FileText&&) = default;
  ~FileText() { OPENSSL_cleanse(text.data(), text.size()); }
  std::string text;
};

// `closed_to`: who must have no right to it, such as S_IRWXO.
Result<FileText> read_file(const std::string& path, mode_t closed_to = 0) {
  const auto failed = [&](int code) {
    return Error{path + ": cannot be read: " + std::strerror(code)};
  };
  const UniqueFd fd(
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat status{};
  if (!fd.valid() || ::fstat(fd.get(), &status) != 0) return failed(errno);
  if (!S_ISREG(status.st_mode)) {
    return Error{path + ": it is no regular file"};
  }
  if ((status.st_mode & closed_to) != 0) {
    return Error{path + ": others may read or change it; its mode must be " +
                 ((closed_to & S_IRWXG) != 0 ? "0600" : "0600 or 0640")};
  }
  FileText file;
  file.text.resize(kFileBytesMax + 1);
  std::size_t bytes = 0;
  while (bytes < file.text.size()) {
    const ssize_t got = ::read(fd.get(), file.text.data() + bytes,
                               file.text.size() - bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(errno);
    if (got == 0) break;
    bytes += static_cast<std::size_t>(got);
  }
  if (bytes > kFileBytesMax) return Error{path + ": more than 256k"};
  file.text.resize(bytes);
  return file;
}

sni::SecretBytes secret_bytes(std::string_view text) {
  sni::SecretBytes secret(text.size());
  for (const char byte : text) {
    FEALTY_CHECK(secret.push(static_cast<unsigned char>(byte)));
  }
  return secret;
}

}  // namespace

Identities::Identities(Loop& loop, const Clock& clock)
    : clock_(clock),
      store_(clock),
      tickets_(options_.tickets.rotate_s, clock.unix_s()) {
  tick_.bind<&Identities::on_tick>(loop, this);
}

// What was read as root, and cannot be read again as `user`, stays.
Result<Identities::Loaded> Identities::read(const sni::Options& options) const {
  Loaded loaded;
  loaded.options = options;
  if (!options.client_crl_file.empty()) {
    auto crl = read_file(options.client_crl_file);
    const bool known = options.client_crl_file == options_.client_crl_file;
    if (!crl && !known) {
      return Error{"tls.client_crl: " + crl.error().message};
    }
    if (!crl) {
      log::error("tls.client_crl: {}: what was read before stays",
                 crl.error().message);
    }
    loaded.client_crl = crl ? std::move(crl->text) : client_crl_;
  }
  if (Status read = read_ticket_secret(loaded); !read) return read.error();
  const std::string& path = options.tickets.keys_file;
  if (path.empty()) return loaded;
  const auto keys = read_file(path, S_IRWXG | S_IRWXO);
  const std::string& before = options_.tickets.keys_file;
  if (!keys && (path == before || (before.empty() && inherited_tickets_))) {
    log::error("tls.ticket_keys: {}: what was read before stays",
               keys.error().message);
    return loaded;
  }
  if (!keys) return Error{"tls.ticket_keys: " + keys.error().message};
  const auto* const bytes =
      reinterpret_cast<const unsigned char*>(keys->text.data());
  if (!sni::TicketKeyRing::may_set({bytes, keys->text.size()})) {
    return Error{"tls.ticket_keys: " + path +
                 " is not one to three records of 80 bytes, such as "
                 "`openssl rand 80` makes one"};
  }
  loaded.ticket_keys = secret_bytes(keys->text);
  return loaded;
}

Status Identities::read_ticket_secret(Loaded& loaded) const {
  const std::string& path = loaded.options.tickets.secret_file;
  if (path.empty()) return Ok{};
  auto secret = read_secret_file(path, kSecretBytesLeast);
  if (secret) {
    loaded.ticket_secret = secret_bytes(*secret);
    wipe(*secret);
    return Ok{};
  }
  const std::string& before = options_.tickets.secret_file;
  const bool may_stay =
      tickets_.derives() && (before.empty() || before == path);
  if (!may_stay) {
    return Error{"tls.ticket_secret_file: " + secret.error().message};
  }
  log::error("tls.ticket_secret_file: {}: what was read before stays",
             secret.error().message);
  return Ok{};
}

bool Identities::adopt(Loaded loaded) {
  const bool rules_changed =
      loaded.client_crl != client_crl_ ||
      loaded.options.client_depth != options_.client_depth;
  options_ = std::move(loaded.options);
  client_crl_ = std::move(loaded.client_crl);
  tickets_.set_rotation(options_.tickets.rotate_s);
  bool new_keys = false;
  if (!loaded.ticket_secret.empty()) {
    new_keys =
        tickets_.derive_from(loaded.ticket_secret.view(), clock_.unix_s());
  } else if (!options_.tickets.secret_file.empty()) {
    new_keys = tickets_.rotate_if_due(clock_.unix_s());
  } else if (options_.tickets.keys_file.empty()) {
    new_keys = tickets_.make_own(clock_.unix_s());
  } else if (!loaded.ticket_keys.empty()) {
    new_keys = tickets_.set(loaded.ticket_keys.span(), clock_.unix_s());
  }
  if (new_keys && on_rotation_) on_rotation_();
  return rules_changed;
}

Result<std::shared_ptr<const sni::Context>> Identities::context_for(
    const sni::DefaultIdentity& identity, const Loaded& loaded,
    const sni::Context* current) {
  auto made = default_identity(identity, loaded);
  if (!made && current == nullptr) {
    auto inherited = inherited_default(identity.certificate);
    if (!inherited) return made.error();
    log::error("{}: the certificate that was handed over stays",
               made.error().message);
    made = *std::move(inherited);
  }
  if (!made) {
    log::error("{}: the certificate that was read before stays",
               made.error().message);
    made = sni::IdentityRef::share(&current->fallback());
  }
  return sni::Context::make(loaded.options, *std::move(made));
}

void Identities::hand_over(std::string& ticket_keys,
                           std::vector<sni::ExportedIdentity>& identities) {
  const sni::SecretBytes saved = tickets_.save();
  ticket_keys = saved.view();
  const TlsState now = state();
  for (std::size_t i = 0; i < kShards; ++i) {
    const Shard<sni::Identity>* const shard = now.identities->shard(i);
    for (std::size_t at = 0; shard != nullptr && at < shard->size(); ++at) {
      for (auto& each : sni::export_identity(*(*shard)[at])) {
        identities.push_back(std::move(each));
      }
    }
  }
}

void Identities::inherit(std::string_view ticket_keys,
                         const std::vector<sni::ExportedIdentity>& defaults) {
  const auto* const bytes =
      reinterpret_cast<const unsigned char*>(ticket_keys.data());
  inherited_tickets_ = tickets_.restore({bytes, ticket_keys.size()});
  if (!inherited_tickets_) {
    log::warning("the ticket keys were not taken over: clients will make full "
                 "handshakes");
  }
  inherited_defaults_ = defaults;
}

void Identities::restore(
    const std::vector<sni::ExportedIdentity>& identities) {
  inherited_defaults_ = {};
  std::uint64_t number = 0;
  for (const sni::ExportedIdentity& each : identities) {
    const auto outcome = store_.put(
        each.name, {each.chain, each.key, each.client_ca, each.client_crl,
                    each.client_demanded, each.client_depth},
        {kHandedOver, number++});
    if (!outcome) {
      log::warning("tls: the certificate of {} was not taken over: {}",
                   log::printable(each.name), sni::text_of(outcome.error()));
    }
  }
}

Result<sni::IdentityRef> Identities::inherited_default(
    const std::string& certificate) {
  for (const sni::ExportedIdentity& each : inherited_defaults_) {
    if (each.name != certificate) continue;
    auto made = store_.make_default(
        "", {each.chain, each.key, each.client_ca, each.client_crl,
             each.client_demanded, each.client_depth});
    if (made) return *std::move(made);
  }
  return Error{"none was handed over"};
}

Result<sni::IdentityRef> Identities::default_identity(
    const sni::DefaultIdentity& identity, const Loaded& loaded) {
  const auto chain = read_file(identity.certificate);
  if (!chain) return Error{"certificate: " + chain.error().message};
  const auto key = read_file(identity.key);
  if (!key) return Error{"key: " + key.error().message};
  sni::IdentityPem pem{chain->text, key->text};
  FileText ca;
  if (std::string path = identity.client_ca; !path.empty()) {
    pem.client_demanded = path.starts_with('!');
    if (pem.client_demanded) path.erase(0, 1);
    auto read = read_file(path);
    if (!read) return Error{"client_ca: " + read.error().message};
    ca = *std::move(read);
    pem.client_ca = ca.text;
    pem.client_crl = loaded.client_crl;
    pem.client_depth = static_cast<int>(loaded.options.client_depth);
  }
  auto made = store_.make_default("", pem);
  if (made) return *std::move(made);
  return Error{identity.certificate + " and " + identity.key + ": " +
               std::string(sni::text_of(made.error()))};
}

void Identities::start(OnRotation on_rotation, OnExpiry on_expiry) {
  on_rotation_ = std::move(on_rotation);
  on_expiry_ = std::move(on_expiry);
  tick_.start(kTickMs, kTickMs);
}

TlsState Identities::state() {
  if (store_.dirty()) published_ = store_.build();
  return last_state();
}

std::optional<std::string> Identities::on_material(
    std::string_view key, const subscription::Hash128& source,
    const subscription::SniMaterial& material) {
  sni::IdentityPem pem{material.chain, material.key};
  if (!material.client_ca.empty() || material.client_required) {
    pem.client_ca = material.client_ca;
    pem.client_crl = client_crl_;
    pem.client_demanded = material.client_required;
    pem.client_depth = static_cast<int>(options_.client_depth);
  }
  const std::string_view name = name_of(key);
  const bool conflict = store_.conflict(name);
  const auto outcome = store_.put(name, pem, origin_of(key, source));
  say_conflict(name, conflict);
  if (!outcome) return std::string(sni::text_of(outcome.error()));
  store_.drop(name, kHandedOver);
  if (*outcome == sni::Store::Outcome::kChanged) say_other_name(name);
  return std::nullopt;
}

// It is served all the same: clients may trust it in ways of their own.
void Identities::say_other_name(std::string_view name) {
  const sni::Identity* const identity = store_.find_exact(name);
  const std::string host =
      (name.starts_with('.') ? "any" : "") + std::string(name);
  if (identity == nullptr || identity->names(host) ||
      warning_log_.ask(clock_.monotonic_ms()) !=
          log::LineBudget::Verdict::kWrite) {
    return;
  }
  log::warning("tls: the certificate of {} does not name it: most clients will "
               "refuse it", log::printable(name));
}

void Identities::say_conflict(std::string_view name, bool before) {
  if (before || !store_.conflict(name) ||
      warning_log_.ask(clock_.monotonic_ms()) !=
          log::LineBudget::Verdict::kWrite) {
    return;
  }
  log::warning("tls: the keys and nodes of {} demand different things of "
               "clients: only those get in whom all of them let in",
               log::printable(name));
}

void Identities::on_retired(std::string_view key,
                            const subscription::Hash128& source) {
  store_.retire(name_of(key), origin_of(key, source));
}

bool Identities::guards(std::string_view key,
                        const subscription::Hash128& source) const {
  return store_.guards(name_of(key), origin_of(key, source));
}

void Identities::on_pool_gone(std::string_view key) {
  const std::string_view name = name_of(key);
  store_.drop(name, hash_key(key));
  store_.drop(name, kHandedOver);
  if (store_.find_exact(name) != nullptr) return;
  told_.erase(std::string(name));
  told_.erase(std::string(name) + " (revocation list)");
}

bool Identities::conflict(std::string_view key) const {
  return store_.conflict(name_of(key));
}

const sni::Identity* Identities::find(std::string_view key) const {
  return store_.find_exact(name_of(key));
}

void Identities::on_tick() {
  const std::int64_t now_s = clock_.unix_s();
  if (tickets_.rotate_if_due(now_s) && on_rotation_) on_rotation_();
  alarms_left_ = kAlarmsPerTick;
  const std::int64_t alarm_s = std::int64_t{options_.expiry_alarm_days} * kDay_s;
  if (expiry_.step(published_, now_s, alarm_s, kShardsPerTick,
                   [this](const Due& due) { tell(due); })) {
    tell_defaults(now_s + alarm_s);
  }
}

void Identities::tell_defaults(std::int64_t before_s) {
  for (const Default& it : defaults_) {
    const std::int64_t until_s = it.context->fallback().not_after_s();
    if (until_s < before_s) {
      tell({it.name, sni::ExpiryScan::What::kCertificate, until_s});
    }
  }
}

void Identities::tell(const Due& due) {
  const bool is_list = due.what == sni::ExpiryScan::What::kRevocationList;
  const std::int64_t now_s = clock_.unix_s();
  const std::int64_t day = now_s / kDay_s;
  std::string name(due.name);
  if (is_list) name += " (revocation list)";
  const auto told = told_.find(name);
  if (told != told_.end() && told->second == day) return;
  if (alarms_left_ == 0) return;
  --alarms_left_;
  log::warning("tls: the {} of {} {} in {} days",
               is_list ? "revocation list" : "certificate",
               log::printable(due.name),
               is_list ? "goes out of date" : "expires",
               (due.until_s - now_s) / kDay_s);
  if (on_expiry_) on_expiry_({name, due.what, due.until_s});
  told_.insert_or_assign(std::move(name), day);
}

}  // namespace fealty::router
