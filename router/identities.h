#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/result.h"
#include "router/worker_context.h"
#include "sni/context.h"
#include "sni/expiry.h"
#include "sni/export.h"
#include "sni/options.h"
#include "sni/store.h"
#include "subscription/materials.h"

namespace fealty::router {

// TLS as the control thread sees it: takes the certificates that announcements
// bring into the store of identities, hands new versions to the workers, makes
// ticket keys in time, and looks which identities expire. Control thread only.
//
// Identities go by name: the domain of a key, without its port and mountpoint.
// What a key brought for its name goes with the key's pool. The caller publishes
// state() together with the routes that belong to it.
class Identities {
 public:
  // last_state() has changed without an announcement.
  using OnRotation = std::function<void()>;
  // Each identity that comes within the alarm's days of its end, and each
  // revocation list that does within one: once a day.
  using Due = sni::ExpiryScan::Due;
  using OnExpiry = std::function<void(const Due& due)>;
  // A listener's identity, by its certificate's path.
  struct Default {
    std::string name;
    std::shared_ptr<const sni::Context> context;
  };

  Identities(Loop& loop, const Clock& clock);
  Identities(const Identities&) = delete;
  Identities& operator=(const Identities&) = delete;

  // The options with the bytes of their files: what is to be in use next.
  struct Loaded {
    sni::Options options;
    std::string client_crl;
    sni::SecretBytes ticket_keys;        // empty: none from outside
    sni::SecretBytes ticket_secret;      // empty: none, or what there was stays
  };
  // Reads; changes nothing. The first time, unless inherit() was called, before privileges are dropped, as
  // context_for() is.
  [[nodiscard]] Result<Loaded> read(const sni::Options& options) const;
  // The settings of a listener, with the identity for unknown names. Where the
  // files are those of `current` and are bad by now, or closed to us, its
  // identity stays, with an error in the log.
  [[nodiscard]] Result<std::shared_ptr<const sni::Context>> context_for(
      const sni::DefaultIdentity& identity, const Loaded& loaded,
      const sni::Context* current);
  // True: what clients are judged by has changed, for announced identities at
  // the next announcements, if their material is read again.
  bool adopt(Loaded loaded);

  // A successor takes over: the ticket keys, and announced identities.
  void hand_over(std::string& ticket_keys,
                 std::vector<sni::ExportedIdentity>& identities);
  // The same of its side: before the first read(), with the certificates of
  // listeners for those files that may not be read again; and once they are in
  // use. `defaults` must outlive the first context_for()s. What was handed over
  // for a name is served, and its policy counts, until an announcement brings
  // something for it or one of its keys goes.
  void inherit(std::string_view ticket_keys,
               const std::vector<sni::ExportedIdentity>& defaults);
  void restore(const std::vector<sni::ExportedIdentity>& identities);

  void start(OnRotation on_rotation, OnExpiry on_expiry);
  // Those in use, to be looked at like the announced ones.
  void set_defaults(std::vector<Default> defaults) {
    defaults_ = std::move(defaults);
  }
  [[nodiscard]] const std::vector<Default>& defaults() const {
    return defaults_;
  }
  // What handshakes go by, the last changes included.
  [[nodiscard]] TlsState state();
  // The same as of the last state(), with the ticket keys of now.
  [[nodiscard]] TlsState last_state() const {
    return {published_, tickets_.current()};
  }

  // subscription::Materials' hooks, and the server's.
  [[nodiscard]] std::optional<std::string> on_material(
      std::string_view key, const subscription::Hash128& source,
      const subscription::SniMaterial& material);
  void on_retired(std::string_view key, const subscription::Hash128& source);
  [[nodiscard]] bool guards(std::string_view key,
                            const subscription::Hash128& source) const;
  void on_pool_gone(std::string_view key);

  // The keys and nodes of this key's domain want different things of clients.
  [[nodiscard]] bool conflict(std::string_view key) const;

  [[nodiscard]] const sni::Store& store() const { return store_; }
  // What is served under exactly this name; null: nothing.
  [[nodiscard]] const sni::Identity* find(std::string_view key) const;
  // What a client is served who asks for `host` (in its one form); null: the
  // listener's own.
  [[nodiscard]] const sni::Identity* serving(std::string_view host) const {
    return published_->find(host);
  }
  [[nodiscard]] const sni::ExpiryScan& expiry() const { return expiry_; }

 private:
  [[nodiscard]] Status read_ticket_secret(Loaded& loaded) const;
  static constexpr std::int64_t kTickMs = 1'000;
  // A walk over all names takes half a minute.
  static constexpr std::size_t kShardsPerTick = 1'024;
  static constexpr unsigned kWarningsMost = 10;   // lines a second
  // Alarms a tick; the others' turn comes with the next walk.
  static constexpr unsigned kAlarmsPerTick = 16;

  [[nodiscard]] Result<sni::IdentityRef> default_identity(
      const sni::DefaultIdentity& identity, const Loaded& loaded);
  [[nodiscard]] Result<sni::IdentityRef> inherited_default(
      const std::string& certificate);
  void say_other_name(std::string_view name);
  void say_conflict(std::string_view name, bool before);
  void on_tick();
  void tell_defaults(std::int64_t before_s);
  void tell(const Due& due);

  const Clock& clock_;
  sni::Options options_;
  sni::Store store_;
  sni::TicketKeyRing tickets_;
  bool inherited_tickets_ = false;   // by a predecessor, as root perhaps
  sni::SnapshotPtr published_ = std::make_shared<const sni::Snapshot>();
  sni::ExpiryScan expiry_;
  std::string client_crl_;
  std::vector<Default> defaults_;
  unsigned alarms_left_ = 0;             // in this tick
  std::unordered_map<std::string, std::int64_t> told_;   // name, day
  std::span<const sni::ExportedIdentity> inherited_defaults_;  // until in use
  log::LineBudget warning_log_{kWarningsMost};
  OnRotation on_rotation_;
  OnExpiry on_expiry_;
  TimerWatcher tick_;
};

}  // namespace fealty::router
