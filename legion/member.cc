#include "legion/member.h"

#include <unistd.h>

#include <algorithm>

namespace fealty::legion {
namespace {

constexpr std::int64_t kTickLeast_ms = 10;
constexpr std::int64_t kTickMost_ms = 100;
// So much later than a tick the loop was stopped, not busy.
constexpr std::int64_t kStall_ms = 100;
// A farewell that is lost costs the others a tolerance.
constexpr int kFarewells = 3;

std::string without_nul(std::string text) {
  std::erase(text, '\0');
  return text;
}

// As uWSGI's log has them.
std::string described(const Announce& who) {
  return std::string(who.valor == 0 ? "arbiter" : "node") + ": " +
         log::printable(who.name) + " valor: " + std::to_string(who.valor) +
         " uuid: " + std::string(who.uuid.text());
}

std::vector<FloatingAddress> lords_addresses(const LegionOptions& options) {
  std::vector<FloatingAddress> out;
  for (const HookAction& action :
       options.hooks[static_cast<std::size_t>(Event::kLord)]) {
    if (action.kind == HookAction::Kind::kIpAdd) out.push_back(action.address);
  }
  return out;
}

// The commands of unlord may take their time only where the lease goes on and
// nobody waits for the end of this process.
bool addresses_go_first(Why why) {
  return why == Why::kQuorumLost || why == Why::kLeaving ||
         why == Why::kHooksFailed;
}

}  // namespace

Member::Member(Loop& loop, const Clock& clock, LegionOptions options,
               const std::string& alarm_command, std::string host)
    : loop_(loop), clock_(clock), options_(std::move(options)),
      alarm_command_(alarm_command), host_(std::move(host)) {
  io_.bind<&Member::on_readable>(loop_, this);
  tick_.bind<&Member::on_tick>(loop_, this);
}

Member::~Member() = default;

Status Member::bind() {
  const bool sealed = options_.wire == Wire::kSealed;
  if (!sealed || options_.accept_weaker) {
    auto cipher =
        UwsgiCipher::make(options_.cipher, options_.secret, options_.iv);
    if (!cipher) return Error{options_.name + ": " + cipher.error().message};
    cipher_ = *std::move(cipher);
  }
  if (sealed) sealed_.emplace(options_.secret, options_.name);
  transport_.set_nodes(options_.nodes);
  return transport_.bind(options_.address, options_.interface);
}

std::int64_t Member::tick_ms() const {
  return std::clamp(options_.election.freq_ms / 20, kTickLeast_ms,
                    kTickMost_ms);
}

void Member::start() {
  // Members that speak uWSGI's wire go by its rules.
  const Wire rules = cipher_ ? Wire::kUwsgi : Wire::kSealed;
  last_turn_ms_ = now_ms_ = arrived_ms_ = clock_.monotonic_ms();
  election_ = std::make_unique<Election>(
      options_.election, rules, options_.name, host_,
      static_cast<std::uint64_t>(::getpid()), Uuid::draw(), now_ms_);
  results_.open<&Member::on_hook_done>(loop_, this);
  addresses_ = std::make_unique<AddressKeeper>(clock_, interfaces_,
                                               options_.election.tolerance_ms);
  addresses_->set_lease(0, outlive_ms());
  hooks_ = std::make_unique<HookRunner>(
      options_.name, *addresses_,
      [this](const HookResult& result) {
        static_cast<void>(results_.post(result));
      });
  remove_stale_addresses();
  log::info("legion {}: {} on {}, valor {}, quorum {}, {} node(s), uuid {}",
            options_.name,
            options_.wire == Wire::kSealed
                ? (cipher_ ? "sealed wire, uwsgi's accepted" : "sealed wire")
                : "uwsgi's wire",
            transport_.bound().to_string(), options_.election.valor,
            options_.election.quorum, options_.nodes.size(),
            election_->uuid().text());
  log_warnings();
  post(Event::kSetup);
  io_.start(transport_.fd(), EV_READ);
  tick_.start(1, tick_ms());
}

void Member::log_warnings() const {
  for (const std::string& each : warnings_of(options_)) {
    log::warning("legion {}: {}", options_.name, each);
  }
}

// What a former process that was killed left behind, where the kernel would keep it
// for longer than the next Lord needs: nobody starts as Lord.
void Member::remove_stale_addresses() {
  HookJob job;
  job.event = Event::kSetup;
  for (const FloatingAddress& each : lords_addresses(options_)) {
    job.actions.push_back({HookAction::Kind::kIpStale, {}, each});
  }
  if (!job.actions.empty()) hooks_->post(std::move(job));
}

void Member::reconfigure(LegionOptions options,
                         const std::string& alarm_command) {
  alarm_command_ = alarm_command;
  options_ = std::move(options);
  log_warnings();
  transport_.set_nodes(options_.nodes);
  now_ms_ = clock_.monotonic_ms();
  if (election_->role() == Role::kLord) {
    addresses_->want(lords_addresses(options_));
  }
  election_->reconfigure(options_.election, now_ms_, clock_.unix_s());
  tick_.start(1, tick_ms());
  act();
}

void Member::on_readable(int) { turn(); }
void Member::on_tick() { turn(); }

// Whatever woke us: first what time did, then the packets.
void Member::turn() {
  now_ms_ = clock_.monotonic_ms();
  const bool stalled = now_ms_ - last_turn_ms_ > tick_ms() + kStall_ms;
  // What waits in the socket after a stop may be as old as the stop is long.
  arrived_ms_ = stalled ? last_turn_ms_ : now_ms_;
  if (stalled) {
    ++counters_.stalls;
    log::warning("legion {}: this process stood still for {} ms", options_.name,
                 now_ms_ - last_turn_ms_);
  }
  election_->advance(now_ms_, clock_.unix_s());
  act();
  bool more = true;
  for (int round = 0; more && round < (stalled ? 64 : 1); ++round) {
    more = transport_.receive([this](std::string_view datagram,
                                     const Address& from) {
      on_datagram(datagram, from);
    });
  }
  act();
  update_lease();
  report_quorum();
  last_turn_ms_ = now_ms_;
}

void Member::update_lease() {
  if (election_->role() == Role::kFollower) return;
  addresses_->set_lease(std::min(election_->lease_until_ms(),
                                 now_ms_ + options_.election.tolerance_ms),
                        outlive_ms());
}

// Where two Lords cannot be, a dead one's address may be there until the next has it.
// uWSGI's rules and a quorum of one leave no room for that within a tolerance.
std::int64_t Member::outlive_ms() const {
  const bool may = !cipher_ && options_.election.quorum > 1;
  return may ? options_.election.tolerance_ms * 2 / 3 : 0;
}

std::optional<Announce> Member::decode(std::string_view datagram) {
  const bool is_sealed = SealedWire::is_sealed(datagram);
  const auto drop = [&](Drop why) {
    ++drops_[static_cast<std::size_t>(why)];
    return std::nullopt;
  };
  if (datagram.size() > kClearTextMax + 256) return drop(Drop::kOversized);
  if (is_sealed && !sealed_) return drop(Drop::kOtherWire);
  if (!is_sealed && !cipher_) return drop(Drop::kWeakerWire);
  const auto clear =
      is_sealed ? sealed_->open(datagram) : cipher_->open(datagram);
  if (!clear) return drop(Drop::kUndecryptable);
  auto announce =
      decode_announce(*clear, is_sealed ? Wire::kSealed : Wire::kUwsgi);
  // With a wrong key, CBC may end in text that looks like any.
  if (!announce) return drop(Drop::kMalformed);
  if (announce->legion != options_.name) return drop(Drop::kOtherLegion);
  return *std::move(announce);
}

void Member::on_datagram(std::string_view datagram, const Address& from) {
  const auto before = drops_;
  const auto announce = decode(datagram);
  if (!announce) {
    for (std::size_t i = 0; i < kDrops; ++i) {
      if (drops_[i] != before[i]) count(static_cast<Drop>(i), from, "packet");
    }
    return;
  }
  // Behind a group's address several members may be one host's.
  const std::string source = transport_.is_multicast()
                                 ? std::string(announce->uuid.text())
                                 : from.to_string();
  using Verdict = Election::Verdict;
  const Verdict verdict = election_->on_announce(
      *announce, source, now_ms_, arrived_ms_, clock_.unix_s());
  Drop drop{};
  switch (verdict) {
    case Verdict::kTaken: ++counters_.taken; return act();
    case Verdict::kOwn: drop = Drop::kOwn; break;
    case Verdict::kSkew: drop = Drop::kSkew; break;
    case Verdict::kReplayed: drop = Drop::kReplayed; break;
    case Verdict::kFull: drop = Drop::kFull; break;
    // Its second copy of what is sealed.
    case Verdict::kWeaker: drop = Drop::kWeakerWire; break;
  }
  ++drops_[static_cast<std::size_t>(drop)];
  if (drop != Drop::kOwn && drop != Drop::kWeakerWire) count(drop, from, log::printable(announce->name));
}

// A line now and then; the numbers are in the stats.
void Member::count(Drop drop, const Address& from, std::string_view what) {
  std::uint64_t suppressed = 0;
  if (!drop_log_.allow(now_ms_, &suppressed)) return;
  log::warning("legion {}: dropped a packet of {} ({}): {}; {} more before",
               options_.name, from.to_string(), what, to_string(drop),
               suppressed);
}

void Member::act() {
  for (const Action& action : election_->take_actions()) act_on(action);
  finish_leaving();
}

void Member::act_on(const Action& action) {
  using Kind = Action::Kind;
  switch (action.kind) {
    case Kind::kSend: return send();
    case Kind::kLord:
      ++counters_.lords;
      role_since_ms_ = now_ms_;
      log::info("legion {}: i am now the Lord of the Legion {}", options_.name,
                options_.name);
      // At once: hooks that run may take their time.
      update_lease();
      addresses_->want(lords_addresses(options_));
      return post(Event::kLord);
    case Kind::kUnlord:
      ++counters_.unlords;
      role_since_ms_ = now_ms_;
      log::warning("legion {}: i am no more the Lord: {}", options_.name,
                   to_string(action.why));
      if (addresses_go_first(action.why)) addresses_->want({});
      return post(Event::kUnlord, nullptr, addresses_go_first(action.why));
    case Kind::kJoin:
      log::info("legion {}: joined the Legion", options_.name);
      return post(Event::kJoin);
    case Kind::kNodeJoined:
      log::info("legion {}: {} joined Legion {}", options_.name,
                described(action.who), options_.name);
      return post(Event::kNodeJoined, &action.who);
    case Kind::kNodeLeft:
      log::info("legion {}: {} left Legion {}: it {}", options_.name,
                described(action.who), options_.name, to_string(action.why));
      return post(Event::kNodeLeft, &action.who);
    case Kind::kMismatch:
      return log::warning(
          "legion {}: {} is not counted: its tolerance is {} ms (here {}), its "
          "quorum {} (here {}); all members need the same",
          options_.name, described(action.who), action.who.tolerance_ms,
          options_.election.tolerance_ms, action.who.quorum,
          options_.election.quorum);
    case Kind::kContest:
      log::warning("legion {}: another Lord has gone; the neighbours are told "
                   "again who has the address",
                   options_.name);
      return addresses_->tell_again();
  }
}

void Member::send() {
  const Announce announce =
      election_->make_announce(now_ms_, clock_.unix_s());
  const auto send_on = [&](Wire wire) {
    const auto clear = encode_announce(announce, wire);
    if (!clear) {
      log::error("legion {}: {}", options_.name, clear.error().message);
      return;
    }
    transport_.send(wire == Wire::kSealed ? sealed_->seal(*clear)
                                          : cipher_->seal(*clear));
  };
  if (sealed_) send_on(Wire::kSealed);
  if (cipher_) send_on(Wire::kUwsgi);
}

void Member::post(Event event, const Announce* who, bool urgent) {
  HookJob job;
  job.event = event;
  job.actions = options_.hooks[static_cast<std::size_t>(event)];
  job.timeout_ms = options_.hook_timeout_ms;
  job.addresses_first = urgent;
  job.alarm_command = alarm_command_;
  // Without actions only those are posted that somebody waits for.
  const bool awaited = event == Event::kLord || event == Event::kUnlord ||
                       event == Event::kDeath;
  if (job.actions.empty() && !awaited) return;
  job.environment = environment(event, who);
  hooks_->post(std::move(job));
}

std::vector<std::string> Member::environment(Event event,
                                             const Announce* who) const {
  std::vector<std::string> out;
  const auto add = [&](const char* name, std::string value) {
    out.push_back(std::string(name) + "=" + without_nul(std::move(value)));
  };
  const Election& election = *election_;
  add("LEGION", options_.name);
  add("EVENT", std::string(to_string(event)));
  add("VALOR", std::to_string(election.options().valor));
  add("UUID", std::string(election.uuid().text()));
  add("SCROLL", election.options().scroll);
  add("QUORUM", std::to_string(election.options().quorum));
  add("VOTES", std::to_string(election.votes()));
  add("I_AM_LORD", election.role() == Role::kLord ? "1" : "0");
  const Uuid* const lord = election.lord();
  std::string lord_name;
  std::string lord_scroll;
  std::string scrolls;
  if (lord != nullptr && *lord == election.uuid()) {
    lord_name = host_;
    lord_scroll = election.options().scroll;
  }
  for (const MemberView& each : election.members()) {
    if (!each.counted) continue;
    if (lord != nullptr && each.last.uuid == *lord) {
      lord_name = each.last.name;
      lord_scroll = each.last.scroll;
    }
    if (scrolls.size() + each.last.scroll.size() > kScrollMax) continue;
    scrolls += each.last.scroll + "\n";
  }
  add("LORD", std::move(lord_name));
  add("LORD_UUID", lord == nullptr ? "" : std::string(lord->text()));
  add("LORD_SCROLL", std::move(lord_scroll));
  add("SCROLLS", std::move(scrolls));
  if (who != nullptr) {
    add("NODE_NAME", who->name);
    add("NODE_VALOR", std::to_string(who->valor));
    add("NODE_UUID", std::string(who->uuid.text()));
    add("NODE_SCROLL", who->scroll);
  }
  return out;
}

void Member::on_hook_done() {
  results_.take(taken_results_);
  now_ms_ = clock_.monotonic_ms();
  for (const HookResult& result : taken_results_) {
    if (!result.ok) ++counters_.hook_failures;
    const std::int64_t wall_s = clock_.unix_s();
    if (result.event == Event::kLord && !result.cancelled) {
      election_->on_lorded(result.ok, now_ms_, wall_s);
    } else if (result.event == Event::kUnlord) {
      election_->on_unlorded(now_ms_, wall_s);
    } else if (result.event == Event::kDeath && left_) {
      taken_results_.clear();
      return std::exchange(left_, nullptr)();
    }
  }
  taken_results_.clear();
  act();
}

void Member::report_quorum() {
  const bool has = election_->has_quorum();
  if (quorum_reported_ && has == had_quorum_) return;
  if (has) {
    log::info("legion {}: WE HAVE QUORUM FOR LEGION {} (valor: {} uuid: {} "
              "checksum: {} votes: {})",
              options_.name, options_.name, election_->vote().valor,
              election_->vote().uuid.text(), election_->checksum(),
              election_->votes());
  } else {
    log::warning("legion {}: no quorum: {}", options_.name,
                 election_->why_no_quorum(now_ms_));
  }
  quorum_reported_ = true;
  had_quorum_ = has;
}

void Member::leave(std::function<void()> left) {
  left_ = std::move(left);
  now_ms_ = clock_.monotonic_ms();
  election_->leave(now_ms_, clock_.unix_s());
  act();
}

void Member::finish_leaving() {
  if (!left_ || death_said_ || !election_->finished()) return;
  death_said_ = true;
  for (int i = 0; i < kFarewells; ++i) send();
  io_.stop();
  tick_.stop();
  post(Event::kDeath);
}

std::string_view to_string(Member::Drop drop) {
  switch (drop) {
    case Member::Drop::kOversized: return "oversized";
    case Member::Drop::kWeakerWire: return "weaker_wire";
    case Member::Drop::kOtherWire: return "other_wire";
    case Member::Drop::kUndecryptable: return "undecryptable";
    case Member::Drop::kMalformed: return "malformed";
    case Member::Drop::kOtherLegion: return "other_legion";
    case Member::Drop::kOwn: return "own";
    case Member::Drop::kSkew: return "skew";
    case Member::Drop::kReplayed: return "replayed";
    case Member::Drop::kFull: return "full";
  }
  return "unknown";
}

}  // namespace fealty::legion
