#include "subscription/verify.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "subscription/paths.h"

namespace fealty::subscription {
namespace {

// What a packet costs that was refused before its signature was looked at.
constexpr std::int64_t kLookup_us = 10;
constexpr std::size_t kV6NetworkBytes = 8;

bool within_networks(const Address& address,
                     const std::vector<Network>& networks) {
  return std::any_of(
      networks.begin(), networks.end(),
      [&](const Network& network) { return network.contains(address); });
}

std::string_view bytes_of(const void* at, std::size_t bytes) {
  return {static_cast<const char*>(at), bytes};
}

// An IPv6 network gives each of its customers a /64 at least.
std::string network_of(const Address& address) {
  const std::string host = address.host();
  if (host.find(':') == host.npos) return "4" + host;
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address.data());
  return "6" + std::string(bytes_of(&v6->sin6_addr, kV6NetworkBytes));
}

}  // namespace

Verifier::Verifier(const Options& options, const Clock& clock,
                   std::size_t keys_cached, std::size_t replay_capacity)
    : options_(options),
      clock_(clock),
      keys_cached_(keys_cached),
      replay_capacity_(replay_capacity),
      own_sockets_(clock),
      budget_(options.check_shares, clock),
      sni_files_(options) {
  operator_ = hash_.of("operator");
  read_options();
}

void Verifier::reconfigure(const std::vector<Address>& own_sockets) {
  own_sockets_.clear();
  for (const Address& address : own_sockets) own_sockets_.add(address);
  read_options();
}

void Verifier::read_options() {
  static_addresses_.clear();
  for (const StaticNode& node : options_.static_nodes) {
    static_addresses_.insert(address_id(node.address));
  }
  if (!options_.sign_check) {
    keys_.reset();
    replay_.reset();
    return;
  }
  const SignCheck& check = *options_.sign_check;
  keys_ = std::make_unique<PublicKeys>(check.keys, check.digest, keys_cached_);
  if (replay_ != nullptr) {
    replay_->set_tolerance(check.tolerance_s);
  } else {
    replay_ = std::make_unique<ReplayMemory>(clock_, check.tolerance_s,
                                             replay_capacity_);
  }
}

void Verifier::add_own_socket(const Address& address) {
  own_sockets_.add(address);
}

bool Verifier::address_allowed(const Address& address, bool trusted) {
  const bool listed =
      is_listed(address, options_.allow_addresses) ||
      (trusted && is_listed(address, options_.allow_trusted_addresses));
  return listed && !own_sockets_.holds(address);
}

bool Verifier::is_listed(const Address& address, const AllowAddresses& allow) {
  if (!address.is_unix()) {
    return within_networks(as_connected(address), allow.networks);
  }
  const std::string path = address.unix_path();  // or "@name"
  if (!path.starts_with('@') && !is_plain_path(path)) return false;
  return std::any_of(
      allow.unix_prefixes.begin(), allow.unix_prefixes.end(),
      [&](const std::string& prefix) {
        return path_within(path, prefix) && stays_within(path, prefix);
      });
}

Result<Verifier::Accepted, Rejection> Verifier::check(
    const Announcement& announcement, const Origin& origin) {
  const bool operators_own = skips_signature(origin.sender);
  if (const auto why = judge_text(announcement, operators_own)) return *why;
  Accepted accepted;
  accepted.packet.stamp_s = announcement.unix_s;
  accepted.packet.subscribe = announcement.subscribe;
  if (tells_owners()) {
    accepted.packet.node =
        node_id(announcement.key, announcement.address, announcement.vassal);
  }
  if (!operators_own && is_static(announcement)) {
    return Rejection::kAddressTaken;
  }
  if (options_.sign_check && !operators_own) {
    if (const auto why = check_signed(announcement, origin, accepted)) {
      return *why;
    }
    if (accepted.duplicate) return accepted;
  }
  if (const auto why = check_files(announcement, origin, accepted)) {
    return *why;
  }
  if (const auto why =
          judge_holder(announcement, origin, operators_own, accepted)) {
    return *why;
  }
  return accepted;
}

void Verifier::commit(const Accepted& accepted) {
  if (accepted.duplicate || !tells_owners()) return;
  const ReplayMemory::Packet& packet = accepted.packet;
  if (accepted.owner) {
    settle(accepted);
    replay_->record(packet, accepted.owner);
  }
  if (!packet.subscribe) {
    forget(packet.node);
  } else if (accepted.address) {
    note_address(accepted);
  }
}

// What a customer announced himself stays his when the operator refreshes it.
void Verifier::note_address(const Accepted& accepted) {
  const Hash128& node = accepted.packet.node;
  if (accepted.holder == operator_ && owners_.knows(node)) return;
  owners_.claim(node, accepted.address, accepted.holder);
}

void Verifier::forget(const Hash128& node) {
  if (replay_ != nullptr) replay_->on_node_left(node);
  owners_.release(node);
}

void Verifier::charge(const Accepted& accepted, std::int64_t us) {
  if (accepted.owner) budget_.charge_owner(accepted.owner, us);
}

void Verifier::on_node_left(std::string_view key, const Address& address,
                            std::string_view vassal) {
  if (tells_owners()) forget(node_id(key, address, vassal));
}

// An unsubscribe brings nothing into use: where it points does not matter.
Verifier::Verdict Verifier::judge_text(const Announcement& announcement,
                                       bool trusted) {
  if (announcement.subscribe && !announcement.address_text.empty() &&
      !address_allowed(announcement.address, trusted)) {
    return Rejection::kAddressNotAllowed;
  }
  return announcement.subscribe ? sni_files_.judge(announcement) : std::nullopt;
}

// An unsubscribe takes nothing from such a node.
bool Verifier::is_static(const Announcement& announcement) const {
  return !static_addresses_.empty() && announcement.subscribe &&
         !announcement.address_text.empty() &&
         static_addresses_.contains(address_id(announcement.address));
}

bool Verifier::skips_signature(
    const std::optional<Credentials>& sender) const {
  if (!options_.sign_check) return false;
  const auto& uids = options_.sign_check->skip_uids;
  return sender &&
         std::find(uids.begin(), uids.end(), sender->uid) != uids.end();
}

Verifier::Verdict Verifier::check_signed(const Announcement& announcement,
                                         const Origin& origin,
                                         Accepted& accepted) {
  if (announcement.signature.empty()) return Rejection::kUnsigned;
  if (announcement.signature.size() > PublicKey::kSignatureBytesMax) {
    return Rejection::kBadSignature;
  }
  const Verdict against = judge_stamp(announcement, accepted);
  if (against || accepted.duplicate) return against;
  if (!may_cost(origin, accepted)) return Rejection::kOverBudget;
  accepted.charged_us = kLookup_us;
  const Verdict refused = check_signature(announcement, accepted);
  charge_check(accepted);
  return refused;
}

// A live node's refresh does not depend on what others of its source send.
bool Verifier::may_cost(const Origin& origin, Accepted& accepted) {
  const Hash128& node = accepted.packet.node;
  accepted.source = source_of(origin);
  accepted.node_pays = replay_->is_live(node) && budget_.node_may(node);
  return accepted.node_pays || budget_.source_may(accepted.source);
}

void Verifier::charge_check(const Accepted& accepted) {
  if (accepted.node_pays) {
    budget_.charge_node(accepted.packet.node, accepted.charged_us);
  } else {
    budget_.charge(accepted.source, accepted.charged_us);
  }
}

void Verifier::settle(const Accepted& accepted) {
  if (accepted.node_pays) {
    budget_.settle_node(accepted.packet.node, accepted.source, accepted.owner,
                        accepted.charged_us);
  } else {
    budget_.settle(accepted.source, accepted.owner, accepted.charged_us);
  }
}

Verifier::Verdict Verifier::judge_stamp(const Announcement& announcement,
                                        Accepted& accepted) const {
  const std::int64_t ahead_s = announcement.unix_s - clock_.unix_s();
  const std::int64_t tolerance_s = options_.sign_check->tolerance_s;
  if (ahead_s > tolerance_s || ahead_s < -tolerance_s) return Rejection::kStale;
  accepted.packet.content = hash_.of(announcement.signed_bytes);
  switch (replay_->look(accepted.packet)) {
    case ReplayMemory::Finding::kNew: return std::nullopt;
    case ReplayMemory::Finding::kStale: return Rejection::kStale;
    case ReplayMemory::Finding::kReplayed: return Rejection::kReplayed;
    case ReplayMemory::Finding::kDuplicate: break;
  }
  accepted.duplicate = true;
  return std::nullopt;
}

Verifier::Verdict Verifier::check_signature(const Announcement& announcement,
                                            Accepted& accepted) {
  const PublicKey* const key = keys_->find(announcement.key);
  if (key == nullptr) return Rejection::kNoKey;
  accepted.owner = accepted.holder = key->fingerprint();
  if (!announcement.address_text.empty()) {
    accepted.address = address_id(announcement.address);
  }
  if (const auto why = judge_owner(announcement, accepted)) return why;
  accepted.charged_us += key->check_us();
  if (!key->verifies(announcement.signed_bytes, announcement.signature)) {
    return Rejection::kBadSignature;
  }
  return std::nullopt;
}

Verifier::Verdict Verifier::judge_owner(const Announcement& announcement,
                                        const Accepted& accepted) {
  const ReplayMemory::Packet& packet = accepted.packet;
  if (!budget_.owner_may(accepted.owner)) return Rejection::kOverBudget;
  if (announcement.subscribe && accepted.address &&
      !owners_.may_claim(packet.node, accepted.address, accepted.owner)) {
    return Rejection::kAddressTaken;
  }
  if (!replay_->has_room(packet, accepted.owner)) return Rejection::kOverBudget;
  return std::nullopt;
}

// A key's holder was judged before his signature cost anything. Where nobody
// signs, the sender owns the key's file by now.
Verifier::Verdict Verifier::judge_holder(const Announcement& announcement,
                                         const Origin& origin,
                                         bool operators_own,
                                         Accepted& accepted) const {
  if (!tells_owners() || announcement.address_text.empty()) {
    return std::nullopt;
  }
  accepted.address = address_id(announcement.address);
  if (operators_own) accepted.holder = operator_;
  if (accepted.holder || !origin.sender) return std::nullopt;
  accepted.holder = hash_.of("uid" + std::to_string(origin.sender->uid));
  const bool free = owners_.may_claim(accepted.packet.node, accepted.address,
                                      accepted.holder);
  if (!announcement.subscribe || free) return std::nullopt;
  return Rejection::kAddressTaken;
}

Verifier::Verdict Verifier::check_files(const Announcement& announcement,
                                        const Origin& origin,
                                        Accepted& accepted) const {
  if (!options_.credentials_check.empty() &&
      !owns_key(announcement.key, origin.sender)) {
    return Rejection::kNotOwner;
  }
  if (!announcement.subscribe) return std::nullopt;
  auto sni = sni_files_.open(announcement, origin.sender);
  if (!sni) return sni.error();
  accepted.sni = *std::move(sni);
  accepted.speaks_for_domain =
      !accepted.sni.any() || speaks_for_domain(announcement, origin.sender);
  return std::nullopt;
}

// The file is named as the key is, without its mountpoint: "example.com:80",
// and where that does not exist, "example.com". (uWSGI puts the key directly
// behind the option's value, which therefore ends with a slash there.)
bool Verifier::owns_key(std::string_view key,
                        const std::optional<Credentials>& sender) const {
  if (!sender) return false;
  struct stat status{};
  const auto look = [&](std::string_view name) {
    const std::string path =
        options_.credentials_check + '/' + std::string(name);
    return ::stat(path.c_str(), &status) == 0;
  };
  if (!look(without_mountpoint(key)) &&
      !(errno == ENOENT && look(without_port(key)))) {
    return false;
  }
  return status.st_uid == sender->uid && status.st_gid == sender->gid;
}

// Clients say no port when they ask for a certificate: that of
// "example.com:8443" is shown to those of "example.com", whose holder may be
// another. (Where packets are signed, the domain's key or a wildcard's comes
// before a port's, which counts only where the domain is nobody's.)
bool Verifier::speaks_for_domain(
    const Announcement& announcement,
    const std::optional<Credentials>& sender) const {
  const std::string_view domain = without_port(announcement.key);
  const bool has_port = domain != without_mountpoint(announcement.key);
  if (!has_port || options_.credentials_check.empty()) return true;
  return owns_key(domain, sender);
}

// A key holds no NUL, and no address begins with "vassal" (its family does).
Hash128 Verifier::node_id(std::string_view key, const Address& address,
                          std::string_view vassal) const {
  std::string name(key);
  name += '\0';
  if (address.length() > 0) {
    name += address.bytes();
  } else {
    name.append("vassal").append(vassal);
  }
  return hash_.of(name);
}

// However it was written. An application that listens on every address is
// reached by each of the loopback's: all of them are one address here.
Hash128 Verifier::address_id(const Address& address) const {
  if (address.is_unix()) return hash_.of(address.bytes());
  const std::string host = as_connected(address).host();
  return hash_.of("ip" + (is_loopback(host) ? "loopback" : host) + ' ' +
                  std::to_string(address.port()));
}

Hash128 Verifier::source_of(const Origin& origin) const {
  if (origin.sender) {
    return hash_.of("u" + std::to_string(origin.sender->uid));
  }
  if (origin.from.is_ip()) return hash_.of(network_of(origin.from));
  return hash_.of("p" + origin.from.unix_path());
}

std::string Verifier::source_name(const Origin& origin) {
  if (origin.sender) return "uid " + std::to_string(origin.sender->uid);
  const std::string host = origin.from.host();
  if (host.empty()) {
    const std::string path = origin.from.unix_path();
    return path.empty() ? "unnamed socket" : path;
  }
  if (host.find(':') == host.npos) return host;
  sockaddr_in6 network{};
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(origin.from.data());
  network.sin6_family = AF_INET6;
  std::memcpy(&network.sin6_addr, &v6->sin6_addr, kV6NetworkBytes);
  return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&network),
                                sizeof network)
             .host() +
         "/64";
}

}  // namespace fealty::subscription
