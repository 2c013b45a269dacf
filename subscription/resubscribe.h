#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/result.h"
#include "subscription/announcement.h"
#include "subscription/options.h"
#include "subscription/sni_files.h"

namespace fealty::subscription {

// Passes accepted subscriptions on to other subscription servers, with the
// router's own address in place of the node's: an unsigned packet of the fields
// that uWSGI's routers send, in their order (docs/protocol/subscription.md),
// and behind them `proto`, where the router's own listener speaks HTTP, and
// `via`. Certificates go on as text, whether files were named or not: whoever is
// told may be on another host. A private key goes to Unix sockets only, whose files
// say who may listen there; that clients must have a certificate is said to
// everybody. Control thread only.
//
// It never waits: a datagram that a socket does not take at once is dropped and
// counted, and said once a second a target at most.
//
// Loops. `via` lists the routers that passed a subscription on, each by a random
// name of this run. One that comes back is neither taken nor passed on again
// (is_own), and none goes further than kHopsMost. Routers that know no such
// field, uWSGI's, would send the same packet round and round: so a key is passed
// on once an interval for each certificate and demand of its nodes, however often
// they announce it, and only the key's last node withdraws it. That memory has
// kSlots places, of which a key may have kWays: what finds no place is passed on
// more often than need be, never less.
class Resubscriber {
 public:
  static constexpr std::int64_t kInterval_ms = 1000;
  static constexpr std::size_t kHopsMost = 8;
  static constexpr std::size_t kSlots = std::size_t{1} << 16;
  static constexpr std::size_t kWays = 4;

  // `options` must outlive it. Where it names no target, nothing is ever sent.
  Resubscriber(const Options& options, const Clock& clock);
  ~Resubscriber();
  Resubscriber(const Resubscriber&) = delete;
  Resubscriber& operator=(const Resubscriber&) = delete;

  class Target;
  using Targets = std::vector<std::shared_ptr<Target>>;
  // The sockets for `options`, those that are open already among them, or why
  // not. The first time before privileges are dropped.
  [[nodiscard]] Result<Targets> prepare(const Options& options) const;
  // They are in use from now on.
  void adopt(Targets targets);
  // Both, for the options as they are.
  [[nodiscard]] Status open();

  [[nodiscard]] bool enabled() const { return !targets_.empty(); }
  // This router passed it on before.
  [[nodiscard]] bool is_own(const Announcement& announcement) const;
  // It was accepted. `sni`: what it says of certificates, as far as that counts
  // here and was looked at (SniFiles), and not read yet; null: what it says is
  // not to be passed on, but for the demand of a client's certificate. True where
  // certificates were read.
  bool pass_on(const Announcement& announcement, const SniSource* sni);
  // The key's last node has left.
  void withdraw(std::string_view key);

  struct TargetCount {
    std::string_view target;
    std::uint64_t sent;
    std::uint64_t dropped;
  };
  [[nodiscard]] std::vector<TargetCount> counts() const;
  // Announcements that were not passed on: the key had its turn, or they have
  // come too far.
  [[nodiscard]] std::uint64_t held_back() const { return held_back_; }

 private:
  struct Slot {
    std::uint64_t key = 0;
    std::uint64_t variant = 0;
    std::int64_t until_ms = 0;
  };

  // The places of a key.
  [[nodiscard]] std::span<Slot, kWays> slots_of(std::uint64_t hash);
  [[nodiscard]] bool has_turn(std::string_view key, std::uint64_t variant);
  void send(const Announcement& announcement, bool subscribe,
            const SniMaterial& material);
  [[nodiscard]] std::span<const char> encode(const Announcement& announcement,
                                             bool subscribe,
                                             const SniMaterial& material,
                                             bool with_texts,
                                             const Address& own);

  const Options& options_;
  const Clock& clock_;
  std::string name_;                       // of this run, in `via`
  Targets targets_;
  std::vector<Slot> slots_;
  std::vector<char> buffer_;               // of one packet
  std::uint64_t held_back_ = 0;
};

}  // namespace fealty::subscription
