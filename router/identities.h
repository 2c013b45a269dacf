#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
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
// An identity stays as long as any key of its name has a pool.
class Identities {
 public:
  using Publish = std::function<void(const TlsState&)>;
  // Each identity that comes within the alarm's days of its end, once a day.
  using OnExpiry = std::function<void(const sni::ExpiryScan::Entry& entry)>;

  Identities(Loop& loop, const Clock& clock);
  Identities(const Identities&) = delete;
  Identities& operator=(const Identities&) = delete;

  // The options with the bytes of their files: what is to be in use next.
  struct Loaded {
    sni::Options options;
    std::string client_crl;
    sni::SecretBytes ticket_keys;        // empty: none from outside
  };
  // Reads; changes nothing. The first time before privileges are dropped, as
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

  // A successor takes over: the ticket keys, and announced identities with the
  // keys that brought them.
  void hand_over(std::string& ticket_keys,
                 std::vector<sni::ExportedIdentity>& identities,
                 std::vector<std::string>& keys) const;
  // The same of its side: before the first read(), with the certificates of
  // listeners for those files that may not be read again; and once they are in
  // use. `defaults` must outlive the first context_for()s.
  void inherit(std::string_view ticket_keys,
               const std::vector<sni::ExportedIdentity>& defaults);
  void restore(const std::vector<sni::ExportedIdentity>& identities,
               const std::vector<std::string>& keys);

  // Workers are told from now on, and at once.
  void start(Publish publish, OnExpiry on_expiry);
  // What changed, if anything: to be called before routes are published, so that
  // no domain is served without its identity.
  void flush();

  // subscription::Server's hooks.
  [[nodiscard]] std::optional<std::string> on_material(
      std::string_view key, const subscription::SniMaterial& material);
  void on_pool_gone(std::string_view key);

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
  static constexpr std::int64_t kTickMs = 1'000;
  // A walk over all names takes half a minute.
  static constexpr std::size_t kShardsPerTick = 1'024;

  [[nodiscard]] Result<sni::IdentityRef> default_identity(
      const sni::DefaultIdentity& identity, const Loaded& loaded);
  [[nodiscard]] Result<sni::IdentityRef> inherited_default(
      const std::string& certificate);
  void on_change();
  void on_tick();
  void tell_expiry();

  const Clock& clock_;
  sni::Options options_;
  sni::Store store_;
  sni::TicketKeyRing tickets_;
  sni::SnapshotPtr published_ = std::make_shared<const sni::Snapshot>();
  sni::ExpiryScan expiry_;
  std::string client_crl_;
  // Keys that brought material, and how many of each name.
  std::unordered_set<std::string> keys_;
  std::unordered_map<std::string, std::uint32_t> names_;
  std::unordered_map<std::string, std::int64_t> told_;   // name, day
  std::span<const sni::ExportedIdentity> defaults_;  // until they are in use
  Publish publish_;
  OnExpiry on_expiry_;
  TimerWatcher change_timer_;
  TimerWatcher tick_;
};

}  // namespace fealty::router
