#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "subscription/hash.h"

namespace fealty::subscription {

// Whose node announced an address, so that nobody aims his domain at another's
// application. An owner is the fingerprint of the public key that verified: a
// customer with several domains is one owner. Without signatures it is the uid
// that credentials_check proved; the senders of skip_uids together are one owner,
// who is not asked but whose addresses are kept from the others. All zero is
// nobody in particular (an unsigned sender): he may announce every address, owns
// none, and costs nothing here. Control thread only.
//
// An address is free again when the last of its owner's nodes has left. A node
// that is known keeps its address whatever key verifies it now: the key was
// exchanged, and the address's claim goes with it, so that a customer's two
// domains may change their keys one after the other.
//
// Bounds: one claim a node that has an owner, some 150 bytes; the table bounds the nodes.
//
// How it is wired (verify.h does it): may_claim() before the table is asked;
// claim() after the table took a subscribe, added or refreshed; release() when a
// node has left by an unsubscribe or by expiry. Both are idempotent, and a
// release() of somebody unknown does nothing.
class AddressOwners {
 public:
  // `node` stands for key and address, `address` for the address alone.
  [[nodiscard]] bool may_claim(const Hash128& node, const Hash128& address,
                               const Hash128& owner) const;
  void claim(const Hash128& node, const Hash128& address,
             const Hash128& owner);
  void release(const Hash128& node);
  // It has a claim: whoever's.
  [[nodiscard]] bool knows(const Hash128& node) const {
    return nodes_.contains(node);
  }

  [[nodiscard]] std::size_t address_count() const { return addresses_.size(); }

 private:
  struct Claim {
    Hash128 address;
    Hash128 owner;
  };
  struct Share {
    Hash128 owner;
    std::uint32_t nodes;
  };
  // Mostly one; two while a customer exchanges his key.
  using Shares = std::vector<Share>;

  [[nodiscard]] static Shares::iterator find(Shares& shares,
                                             const Hash128& owner);
  void add_share(const Claim& claim);
  void drop_share(const Claim& claim);

  std::unordered_map<Hash128, Claim, Hash128::Hasher> nodes_;
  std::unordered_map<Hash128, Shares, Hash128::Hasher> addresses_;
};

}  // namespace fealty::subscription
