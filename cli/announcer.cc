#include "cli/announcer.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/log.h"
#include "cli/advice.h"

namespace fealty::cli {
namespace {

std::uint64_t random_u64() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

std::string joined(const std::set<std::string, std::less<>>& keys) {
  std::string text;
  for (const std::string& key : keys) text += (text.empty() ? "" : ", ") + key;
  return text;
}

// Why a router may have taken nothing, the likely reasons first.
std::string likely_reasons(const Plan& plan) {
  std::string text;
  if (is_unserved_protocol(plan.packet.proto)) {
    text = "it does not serve --proto " + plan.packet.proto +
           ", only http and uwsgi (Fealty's do not); ";
  }
  text += "it knew the node already (then all is well); ";
  if (plan.sign) {
    text += "it has no public key for the domain, another one, or another "
            "digest; this host's clock is off; ";
  } else {
    text += "it wants a signature (--sign); ";
  }
  const auto address = Address::parse(plan.packet.address);
  text += "its allow_addresses does not have " + plan.packet.address;
  if (address && address->is_unix()) text += ", or 127.0.0.1 to answer to";
  if (plan.sni && !plan.sni->embed) {
    text += "; its allow_sni_paths does not have the certificate";
  }
  return text;
}

}  // namespace

Announcer::Announcer(Loop& loop, const Clock& clock, const Plan& plan,
                     std::function<void()> on_settled)
    : loop_(loop),
      clock_(clock),
      plan_(plan),
      on_settled_(std::move(on_settled)),
      materials_(plan),
      acks_(loop, [this](std::string_view text) { on_ack(text); }),
      silent_keys_(plan.keys.begin(), plan.keys.end()),
      nonce_start_(random_u64()) {
  silence_.bind<&Announcer::on_silence>(loop_, this);
  for (const ServerTarget& server : plan_.servers) {
    links_.push_back(std::make_unique<ServerLink>(
        loop_, clock_, plan_, server,
        [this](const ServerTarget& to, std::size_t key,
               wire::SubscriptionCommand command) {
          return make_packet(to, key, command);
        },
        ServerLink::Events{[this] { reload(); }, [this] { on_taken(); }}));
  }
}

Status Announcer::prepare() {
  if (Status loaded = materials_.load(); !loaded) return loaded;
  const bool any_local =
      std::any_of(plan_.servers.begin(), plan_.servers.end(),
                  [](const ServerTarget& server) { return server.local; });
  if (plan_.notify.kind == NotifyWish::Kind::kGiven) {
    auto ours = acks_.open(plan_.notify.address);
    if (!ours) return ours.error();
    if (!*ours) {
      log::info("subscribe: {} is somebody's already: the acknowledgements are "
                "theirs", acks_.address());
    }
  } else if (plan_.notify.kind == NotifyWish::Kind::kOwn && any_local &&
             !plan_.once) {
    if (Status own = acks_.open_own(); !own) {
      log::warning("subscribe: {}", own.error().message);
    }
  }
  for (const ServerTarget& server : plan_.servers) {
    for (std::size_t key = 0; key < plan_.keys.size(); ++key) {
      auto packet =
          make_packet(server, key, wire::SubscriptionCommand::kSubscribe);
      if (!packet) return packet.error();
    }
  }
  return Ok{};
}

void Announcer::announce() {
  silent_keys_.insert(plan_.keys.begin(), plan_.keys.end());
  for (const auto& link : links_) link->announce();
}

void Announcer::withdraw() {
  silence_.stop();
  for (const auto& link : links_) link->withdraw();
}

void Announcer::send_once(wire::SubscriptionCommand command) {
  for (const auto& link : links_) link->send_once(command);
}

bool Announcer::quiet() const {
  return std::all_of(links_.begin(), links_.end(),
                     [](const auto& link) { return link->quiet(); });
}

std::size_t Announcer::servers_taking() const {
  return static_cast<std::size_t>(
      std::count_if(links_.begin(), links_.end(),
                    [](const auto& link) { return link->taken(); }));
}

Result<std::string> Announcer::make_packet(const ServerTarget& server,
                                           std::size_t key,
                                           wire::SubscriptionCommand command) {
  wire::SubscriptionPacket packet = plan_.packet;
  packet.key = plan_.keys[key];
  materials_.fill(packet);
  const bool given = plan_.notify.kind == NotifyWish::Kind::kGiven;
  if (given || hears(server)) packet.notify = acks_.address();
  if (materials_.key() != nullptr) {
    packet.nonce = fmt::format("{:016x}.{}", nonce_start_, ++nonces_);
  }
  auto bytes = wire::encode_subscription(packet, command, clock_.unix_s(),
                                         materials_.key());
  if (!bytes && plan_.sni && plan_.sni->embed) {
    return Error{bytes.error().message +
                 ": leave out --embed-sni, or the chain's needless parts"};
  }
  return bytes;
}

void Announcer::reload() {
  Status loaded = materials_.reload();
  const std::string problem = loaded ? "" : loaded.error().message;
  if (problem == reload_problem_) return;
  reload_problem_ = problem;
  if (problem.empty()) {
    log::info("subscribe: the files can be read again");
  } else {
    log::warning("subscribe: {}; what was there before stays in use", problem);
  }
}

void Announcer::on_taken() {
  if (!hears_any()) return settle();
  if (!silent_keys_.empty() && !silence_.active() && !silence_said_) {
    silence_.start(kSilence_ms);
  }
}

void Announcer::on_ack(std::string_view text) {
  const std::string_view key = acknowledged_key(text, plan_.packet.address);
  if (std::find(plan_.keys.begin(), plan_.keys.end(), key) ==
      plan_.keys.end()) {
    return;
  }
  log::info("subscribe: the router has taken {} at {}", key,
            plan_.packet.address);
  if (const auto silent = silent_keys_.find(key); silent != silent_keys_.end()) {
    silent_keys_.erase(silent);
  }
  if (!silent_keys_.empty()) return;
  silence_.stop();
  silence_said_ = false;
  settle();
}

void Announcer::on_silence() {
  if (servers_taking() == 0) return;    // away by now; that was said
  silence_said_ = true;
  log::warning("subscribe: no router acknowledged {} within {} s. Either {}. "
               "The router's log and `fealty router explain {}` tell",
               joined(silent_keys_), kSilence_ms / 1000, likely_reasons(plan_),
               *silent_keys_.begin());
  settle();
}

void Announcer::settle() {
  if (on_settled_) on_settled_();
}

bool Announcer::hears(const ServerTarget& server) const {
  return acks_.listens() &&
         (server.local || plan_.notify.kind == NotifyWish::Kind::kGiven);
}

bool Announcer::hears_any() const {
  return std::any_of(
      plan_.servers.begin(), plan_.servers.end(),
      [this](const ServerTarget& server) { return hears(server); });
}

}  // namespace fealty::cli
