#include "subscription/resubscribe.h"

#include <openssl/crypto.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/datagram.h"
#include "subscription/snapshot.h"
#include "wire/uwsgi_packet.h"

namespace fealty::subscription {
namespace {

constexpr std::int64_t kLogInterval_ms = 1000;

Error failed(const Address& target, std::string_view what,
             std::string_view why) {
  return Error{"resubscribe " + target.to_string() + ": " + std::string(what) +
               ": " + std::string(why)};
}

std::string random_name() {
  std::uint64_t bits = 0;
  const ssize_t got = ::getrandom(&bits, sizeof bits, 0);
  FEALTY_CHECK(got == static_cast<ssize_t>(sizeof bits));
  return fmt::format("{:016x}", bits);
}

bool is_any(const Address& address) {
  const std::string host = address.host();
  return host == "0.0.0.0" || host == "::";
}

Address with_port(const std::string& host, std::uint16_t port) {
  const bool v6 = host.find(':') != host.npos;
  const std::string text = (v6 ? "[" + host + "]:" : host + ":") +
                           std::to_string(port);
  const auto address = Address::parse(text);
  FEALTY_CHECK(address);
  return *address;
}

std::size_t hops_of(std::string_view via) {
  return via.empty() ? 0
                     : static_cast<std::size_t>(
                           1 + std::count(via.begin(), via.end(), ' '));
}

bool holds(std::string_view value, std::string_view text) {
  return value.find(text) != value.npos;
}

// What cannot be read leaves the demand of a client certificate, so that nobody
// gets in elsewhere without one.
SniMaterial texts_of(const Announcement& announcement, const SniSource* sni) {
  SniMaterial material;
  if (sni != nullptr) {
    if (auto read = sni->read()) material = *std::move(read);
  }
  material.client_required = announcement.demands_client();
  return material;
}

// Nodes of one key may bring several certificates and demands: whoever is told
// must hear of each of them.
std::uint64_t variant_of(const Announcement& announcement,
                         const SniSource* sni) {
  const std::uint64_t name =
      sni != nullptr && sni->any() ? hash_key(sni->name()) : 0;
  return announcement.demands_client() ? ~name : name;
}

}  // namespace

// One server that is told, and the socket for it.
class Resubscriber::Target {
 public:
  explicit Target(const Address& address)
      : address_(address), name_(address.to_string()), log_(kLogInterval_ms) {}

  [[nodiscard]] bool serves(const Address& address,
                            const Options& options) const {
    return address_.to_string() == address.to_string() &&
           own_.to_string() == options.own_address.to_string() &&
           from_ == from_text(options);
  }

  Status open(const Options& options) {
    own_ = options.own_address;
    from_ = from_text(options);
    const bool reached_by_family =
        address_.is_unix() || own_.is_unix() || !is_any(own_) ||
        own_.family() == address_.family();
    if (!reached_by_family) {
      return failed(address_, "the router's own address there",
                    "none of its listeners has one of that family; set "
                    "resubscribe_as");
    }
    fd_ = datagram_socket(address_.family());
    if (!fd_.valid()) {
      return failed(address_, "cannot make a socket", std::strerror(errno));
    }
    const auto& from = options.resubscribe_bind;
    if (!from || from->family() != address_.family()) return Ok{};
    if (::bind(fd_.get(), from->data(), from->length()) == 0) return Ok{};
    return failed(address_, "cannot bind to " + from->to_string(),
                  std::strerror(errno));
  }

  [[nodiscard]] bool may_have_keys() const { return address_.is_unix(); }

  // The router's own address, as this target can reach it; null where the
  // system knows no way there now.
  const Address* own_address() {
    if (!known_.family()) known_ = find_own();
    return known_.family() ? &known_ : nullptr;
  }

  void send(std::span<const char> packet, std::int64_t now_ms) {
    if (packet.empty()) return drop("it has no room in a packet", now_ms);
    const ssize_t sent =
        ::sendto(fd_.get(), packet.data(), packet.size(),
                 MSG_DONTWAIT | MSG_NOSIGNAL, address_.data(),
                 address_.length());
    if (sent >= 0) {
      ++sent_;
      return;
    }
    const int error = errno;
    known_ = Address();   // the way there may be another one by now
    drop(std::strerror(error), now_ms);
  }

  void drop(std::string_view why, std::int64_t now_ms) {
    ++dropped_;
    std::uint64_t left_out = 0;
    if (!log_.allow(now_ms, &left_out)) return;
    log::warning("resubscribe: not passed on to {}: {}{}",
                 log::printable(name_), why,
                 left_out == 0 ? ""
                               : fmt::format("; {} more since the last line",
                                             left_out));
  }

  [[nodiscard]] TargetCount count() const { return {name_, sent_, dropped_}; }

 private:
  static std::string from_text(const Options& options) {
    return options.resubscribe_bind ? options.resubscribe_bind->to_string() : "";
  }
  // A listener on every address has the one from which the target is reached.
  [[nodiscard]] Address find_own() const {
    if (own_.is_unix() || !is_any(own_)) return own_;
    if (address_.is_unix()) {
      return with_port(own_.family() == AF_INET ? "127.0.0.1" : "::1",
                       own_.port());
    }
    const UniqueFd probe = datagram_socket(address_.family());
    if (!probe.valid() ||
        ::connect(probe.get(), address_.data(), address_.length()) != 0) {
      return {};
    }
    sockaddr_storage local{};
    socklen_t length = sizeof local;
    auto* const at = reinterpret_cast<sockaddr*>(&local);
    if (::getsockname(probe.get(), at, &length) != 0) return {};
    return with_port(Address::from_sockaddr(at, length).host(), own_.port());
  }

  Address address_;
  std::string name_;
  Address own_;            // as configured: may stand for every address
  Address known_;          // of no family: to be found
  std::string from_;       // what it is bound to
  UniqueFd fd_;
  log::Limiter log_;
  std::uint64_t sent_ = 0;
  std::uint64_t dropped_ = 0;
};

Resubscriber::Resubscriber(const Options& options, const Clock& clock)
    : options_(options), clock_(clock), name_(random_name()) {}

Resubscriber::~Resubscriber() = default;

Result<Resubscriber::Targets> Resubscriber::prepare(
    const Options& options) const {
  Targets targets;
  for (const Address& address : options.resubscribe) {
    const auto known = std::find_if(
        targets_.begin(), targets_.end(),
        [&](const auto& target) { return target->serves(address, options); });
    if (known != targets_.end()) {
      targets.push_back(*known);
      continue;
    }
    targets.push_back(std::make_shared<Target>(address));
    if (Status opened = targets.back()->open(options); !opened) {
      return opened.error();
    }
  }
  return targets;
}

Status Resubscriber::open() {
  auto targets = prepare(options_);
  if (!targets) return targets.error();
  adopt(*std::move(targets));
  return Ok{};
}

void Resubscriber::adopt(Targets targets) {
  targets_ = std::move(targets);
  if (!enabled()) return;
  slots_.resize(kSlots);
  buffer_.resize(wire::kUwsgiPacketBytesMax);
}

// The names are of one length and no two overlap, but for chance.
bool Resubscriber::is_own(const Announcement& announcement) const {
  return enabled() && holds(announcement.via, name_);
}

bool Resubscriber::pass_on(const Announcement& announcement,
                           const SniSource* sni) {
  if (!enabled()) return false;
  if (hops_of(announcement.via) >= kHopsMost ||
      !has_turn(announcement.key, variant_of(announcement, sni))) {
    ++held_back_;
    return false;
  }
  const bool reads = sni != nullptr && sni->any() && sni->problem().empty();
  send(announcement, true, texts_of(announcement, reads ? sni : nullptr));
  return reads;
}

void Resubscriber::withdraw(std::string_view key) {
  if (!enabled()) return;
  const std::uint64_t hash = hash_key(key);
  for (Slot& slot : slots_of(hash)) {
    if (slot.key == hash) slot = {};
  }
  Announcement announcement;
  announcement.key = key;
  send(announcement, false, {});
}

std::span<Resubscriber::Slot, Resubscriber::kWays> Resubscriber::slots_of(
    std::uint64_t hash) {
  static_assert(kSlots % kWays == 0);
  return std::span<Slot, kWays>(&slots_[hash % (kSlots / kWays) * kWays], kWays);
}

bool Resubscriber::has_turn(std::string_view key, std::uint64_t variant) {
  const std::uint64_t hash = hash_key(key);
  const std::int64_t now_ms = clock_.monotonic_ms();
  const auto ways = slots_of(hash);
  auto place = std::find_if(ways.begin(), ways.end(), [&](const Slot& slot) {
    return slot.key == hash && slot.variant == variant;
  });
  if (place != ways.end() && now_ms < place->until_ms) return false;
  if (place == ways.end()) {
    place = std::min_element(ways.begin(), ways.end(),
                             [](const Slot& one, const Slot& other) {
                               return one.until_ms < other.until_ms;
                             });
  }
  *place = {hash, variant, now_ms + kInterval_ms};
  return true;
}

void Resubscriber::send(const Announcement& announcement, bool subscribe,
                        const SniMaterial& material) {
  const std::int64_t now_ms = clock_.monotonic_ms();
  for (const auto& target : targets_) {
    const Address* const own = target->own_address();
    if (own == nullptr) {
      target->drop("the system knows no way there", now_ms);
      continue;
    }
    const bool with_texts = target->may_have_keys() || material.key.empty();
    target->send(encode(announcement, subscribe, material, with_texts, *own),
                 now_ms);
  }
  if (!material.key.empty()) OPENSSL_cleanse(buffer_.data(), buffer_.size());
}

std::span<const char> Resubscriber::encode(const Announcement& announcement,
                                           bool subscribe,
                                           const SniMaterial& material,
                                           bool with_texts,
                                           const Address& own) {
  wire::UwsgiWriter writer(buffer_);
  writer.add("key", announcement.key);
  writer.add("address", own.to_string());
  writer.add("modifier1", std::to_string(announcement.modifier1));
  writer.add("modifier2", std::to_string(announcement.modifier2));
  writer.add("cores", "0");
  writer.add("load", "0");
  writer.add("weight", "0");
  const auto add_if_there = [&](std::string_view name, std::string_view value) {
    if (!value.empty()) writer.add(name, value);
  };
  if (with_texts) {
    add_if_there("sni_key", material.key);
    add_if_there("sni_crt", material.chain);
  }
  add_if_there("sni_ca", (material.client_required ? "!" : "") +
                             (with_texts ? material.client_ca : std::string()));
  if (options_.own_protocol == Protocol::kHttp) writer.add("proto", "http");
  std::string via(announcement.via);
  if (!via.empty()) via += ' ';
  writer.add("via", via + name_);
  const auto packet =
      writer.finish(wire::kModifierSubscription, subscribe ? 0 : 1);
  return {packet.data(), packet.size()};
}

std::vector<Resubscriber::TargetCount> Resubscriber::counts() const {
  std::vector<TargetCount> counts;
  for (const auto& target : targets_) counts.push_back(target->count());
  return counts;
}

}  // namespace fealty::subscription
