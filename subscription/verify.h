#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "base/result.h"
#include "subscription/address_owners.h"
#include "subscription/announcement.h"
#include "subscription/budget.h"
#include "subscription/credentials.h"
#include "subscription/hash.h"
#include "subscription/options.h"
#include "subscription/own_sockets.h"
#include "subscription/public_keys.h"
#include "subscription/replay.h"
#include "subscription/sni_files.h"

namespace fealty::subscription {

// Where a datagram came from.
struct Origin {
  std::optional<Credentials> sender;   // Unix sockets that are asked for them
  Address from;                        // no family: an unnamed Unix socket
};

// Decides whether a decoded announcement counts. Control thread only.
//
// The order, the cheap questions first: the address (allow_addresses, and is it
// a socket of the router's own, own_sockets.h) and the SNI paths as text; is the
// address one of the configuration's nodes' (only who needs no signature may
// announce such a one); then, unless the sender needs no signature: is there
// one, its stamp, was it seen before (replay.h), its node's or its source's
// budget (budget.h), the key's file (public_keys.h), the key holder's budget,
// whose address it is (address_owners.h), room to remember it, the signature
// itself; at last the files that credentials_check and the SNI paths point at,
// and, where a uid of credentials_check is all that is known of the owner, whose
// address it is.
//
// Three calls make the whole of it:
//   check()   may this packet count? Remembers nothing of it.
//   commit()  the table took what check() accepted: its signature is spent, its
//             address claimed (or given up, by an unsubscribe). A packet that
//             the table refuses is not committed: sent again, it may count.
//   on_node_left()  the table dropped a node by itself: its address is free,
//             and its last packet counts as a replay from now on.
//
// A signature costs 25 us with RSA-2048, all else that is asked here 3 us, a
// key that has to be read 600 us. Bounds: those of the parts.
class Verifier {
 public:
  static constexpr std::size_t kKeysCached = 4096;

  struct Accepted {
    // An exact duplicate of a live node's last subscribe: nothing is to be
    // done with it, neither in the table nor by commit().
    bool duplicate = false;
    // Whose key verified it; none for trusted and unsigned packets.
    Hash128 owner;
    // Whose the node's address is from now on, where that can be told.
    Hash128 holder;
    // What commit() needs.
    ReplayMemory::Packet packet;
    Hash128 address;
    Hash128 source;
    bool node_pays = false;        // its own share (budget.h), not its source's
    std::int64_t charged_us = 0;
    // What it says of certificates, open; views the announcement.
    SniSource sni;
    // Its sender may announce the key's domain itself, for which a certificate
    // counts. Of a key with a port only who holds the domain may.
    bool speaks_for_domain = true;
  };

  Verifier(const Options& options, const Clock& clock,
           std::size_t keys_cached = kKeysCached,
           std::size_t replay_capacity = ReplayMemory::kCapacity);
  // The options have changed. What was accepted under those of before, and what
  // is remembered against replays, stays.
  void reconfigure(const std::vector<Address>& own_sockets);
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

  [[nodiscard]] Result<Accepted, Rejection> check(
      const Announcement& announcement, const Origin& origin);
  void commit(const Accepted& accepted);
  // `vassal`: of a node without an address.
  void on_node_left(std::string_view key, const Address& address,
                    std::string_view vassal = "");

  // The owner's announcement cost so much besides.
  void charge(const Accepted& accepted, std::int64_t us);

  // Who sent it, as budgets and counts group senders: a uid where the kernel
  // says it, else an IPv4 address or IPv6 /64, else a socket's path.
  [[nodiscard]] Hash128 source_of(const Origin& origin) const;
  [[nodiscard]] static std::string source_name(const Origin& origin);

  // A socket that this router listens on: no node is there, whoever says so.
  void add_own_socket(const Address& address);
  [[nodiscard]] bool is_own_socket(const Address& address) {
    return own_sockets_.holds(address);
  }
  // Whether allow_addresses holds `address`, and it is none of the router's own:
  // nodes', and those that an acknowledgement is sent to.
  // `trusted`: allow_trusted_addresses count as well.
  [[nodiscard]] bool address_allowed(const Address& address,
                                     bool trusted = false);

 private:
  using Verdict = std::optional<Rejection>;  // empty: nothing against it

  [[nodiscard]] Verdict judge_text(const Announcement& announcement,
                                   bool trusted);
  [[nodiscard]] static bool is_listed(const Address& address,
                                      const AllowAddresses& allow);
  [[nodiscard]] bool is_static(const Announcement& announcement) const;
  [[nodiscard]] bool skips_signature(
      const std::optional<Credentials>& sender) const;
  [[nodiscard]] Verdict check_signed(const Announcement& announcement,
                                     const Origin& origin, Accepted& accepted);
  [[nodiscard]] bool may_cost(const Origin& origin, Accepted& accepted);
  void charge_check(const Accepted& accepted);
  void settle(const Accepted& accepted);
  [[nodiscard]] Verdict judge_stamp(const Announcement& announcement,
                                    Accepted& accepted) const;
  [[nodiscard]] Verdict check_signature(const Announcement& announcement,
                                        Accepted& accepted);
  [[nodiscard]] Verdict judge_owner(const Announcement& announcement,
                                    const Accepted& accepted);
  [[nodiscard]] bool tells_owners() const {
    return replay_ != nullptr || !options_.credentials_check.empty();
  }
  [[nodiscard]] Verdict judge_holder(const Announcement& announcement,
                                     const Origin& origin, bool operators_own,
                                     Accepted& accepted) const;
  void note_address(const Accepted& accepted);
  void forget(const Hash128& node);
  [[nodiscard]] Verdict check_files(const Announcement& announcement,
                                    const Origin& origin,
                                    Accepted& accepted) const;
  [[nodiscard]] bool owns_key(std::string_view key,
                              const std::optional<Credentials>& sender) const;
  [[nodiscard]] bool speaks_for_domain(
      const Announcement& announcement,
      const std::optional<Credentials>& sender) const;
  [[nodiscard]] Hash128 node_id(std::string_view key, const Address& address,
                                std::string_view vassal) const;
  [[nodiscard]] Hash128 address_id(const Address& address) const;

  void read_options();

  const Options& options_;
  const Clock& clock_;
  const std::size_t keys_cached_;
  const std::size_t replay_capacity_;
  KeyedHash hash_;
  OwnSockets own_sockets_;
  AddressOwners owners_;
  Hash128 operator_;                       // the owner that skip_uids are
  // The addresses of the configuration's nodes.
  std::unordered_set<Hash128, Hash128::Hasher> static_addresses_;
  CheckBudget budget_;
  SniFiles sni_files_;
  std::unique_ptr<PublicKeys> keys_;       // null without sign_check
  std::unique_ptr<ReplayMemory> replay_;   // null without sign_check
};

}  // namespace fealty::subscription
