#include "subscription/address_owners.h"

#include <algorithm>

#include "base/check.h"

namespace fealty::subscription {

bool AddressOwners::may_claim(const Hash128& node, const Hash128& address,
                              const Hash128& owner) const {
  if (!owner) return true;
  const auto held = addresses_.find(address);
  if (held == addresses_.end() || nodes_.contains(node)) return true;
  return std::any_of(held->second.begin(), held->second.end(),
                     [&](const Share& share) { return share.owner == owner; });
}

void AddressOwners::claim(const Hash128& node, const Hash128& address,
                          const Hash128& owner) {
  if (!owner) return;
  const Claim wanted{address, owner};
  const auto [at, added] = nodes_.try_emplace(node, wanted);
  if (!added) {
    if (at->second.owner == owner) return;
    drop_share(at->second);
    at->second = wanted;
  }
  add_share(wanted);
}

void AddressOwners::release(const Hash128& node) {
  const auto at = nodes_.find(node);
  if (at == nodes_.end()) return;
  drop_share(at->second);
  nodes_.erase(at);
}

AddressOwners::Shares::iterator AddressOwners::find(Shares& shares,
                                                    const Hash128& owner) {
  return std::find_if(shares.begin(), shares.end(), [&](const Share& share) {
    return share.owner == owner;
  });
}

void AddressOwners::add_share(const Claim& claim) {
  Shares& shares = addresses_[claim.address];
  const auto at = find(shares, claim.owner);
  if (at == shares.end()) {
    shares.push_back({claim.owner, 1});
  } else {
    ++at->nodes;
  }
}

void AddressOwners::drop_share(const Claim& claim) {
  const auto held = addresses_.find(claim.address);
  FEALTY_CHECK(held != addresses_.end());
  const auto at = find(held->second, claim.owner);
  FEALTY_CHECK(at != held->second.end());
  if (--at->nodes == 0) held->second.erase(at);
  if (held->second.empty()) addresses_.erase(held);
}

}  // namespace fealty::subscription
