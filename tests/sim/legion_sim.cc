#include "tests/sim/legion_sim.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <set>
#include <vector>

#include "legion/election.h"

namespace fealty::test {
namespace {

using namespace fealty::legion;

constexpr std::int64_t kFreq_ms = 1'000;
constexpr std::int64_t kTolerance_ms = 3'000;
constexpr std::int64_t kDelayMost_ms = 400;
constexpr std::int64_t kCalmDelay_ms = 40;
constexpr std::int64_t kUnlordMost_ms = 60;
constexpr int kFormerLives = 300;
constexpr int kCalmLongerMost = 3;
constexpr std::int64_t kEnd_ms = 45'000;
constexpr std::int64_t kStart_s = 1'700'000'000;

// A uuid that only depends on the schedule.
Uuid uuid_of(std::mt19937_64& random) {
  char text[Uuid::kBytes + 1];
  std::snprintf(text, sizeof text, "%08x-%04x-%04x-%04x-%012llx",
                static_cast<unsigned>(random()),
                static_cast<unsigned>(random() & 0xFFFF),
                static_cast<unsigned>(random() & 0xFFFF),
                static_cast<unsigned>(random() & 0xFFFF),
                static_cast<unsigned long long>(random() & 0xFFFFFFFFFFFFULL));
  Uuid uuid;
  static_cast<void>(Uuid::parse({text, Uuid::kBytes}, uuid));
  return uuid;
}

class Sim {
 public:
  Sim(std::uint64_t seed, Wire wire, bool trace, SimFault fault)
      : random_(seed), wire_(wire), trace_(trace), fault_(fault) {
    const std::size_t count = 2 + draw(8);
    nodes_.resize(count);
    quorum_ = count / 2 + 1 + draw(count - count / 2);
    if (draw(3) != 0) quorum_ = count / 2 + 1;
    loss_percent_ = static_cast<int>(draw(4) * 12);
    repeat_percent_ = static_cast<int>(draw(3) * 10);
    multicast_ = wire_ == Wire::kSealed && draw(2) == 0;
    for (std::size_t i = 0; i < count; ++i) make(i);
    if (quorum_ < count && draw(4) == 0) {
      nodes_.back().tolerance_ms = kTolerance_ms * (draw(2) == 0 ? 2 : 1) - 500;
    }
    for (std::size_t i = 0; i < count; ++i) names_.push_back(std::to_string(i));
    cut_.assign(count, std::vector<bool>(count, false));
  }

  SimResult run() {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      at(static_cast<std::int64_t>(draw(2'000)), [this, i] { start(i); });
    }
    at(2'500 + static_cast<std::int64_t>(draw(3'000)), [this] { trouble(); });
    while (!queue_.empty() && !result_.failure) {
      Event event = queue_.top();
      queue_.pop();
      if (event.at_ms > kEnd_ms) break;
      watch_until(event.at_ms);
      now_ms_ = event.at_ms;
      ++result_.events;
      event.what();
    }
    return result_;
  }

 private:
  // Shared, as a schedule sends some ten thousand.
  using Packet = std::shared_ptr<const Announce>;

  struct Node {
    std::unique_ptr<Election> election;
    std::uint64_t life = 0;             // starts; events of a former one are void
    bool paused = false;
    bool leaving = false;
    bool arbiter = false;
    std::uint64_t valor = 0;
    std::int64_t offset_ms = 0;         // of its monotonic clock
    int drift_ppm = 0;
    std::int64_t wall_offset_s = 0;
    std::int64_t tolerance_ms = kTolerance_ms;
    // By which it takes all tolerances times, and says nothing of it.
    double stretch = 1;
    // While it is stopped, until when its lease goes and its kernel holds, true time.
    std::int64_t lease_until_ms = INT64_MAX;
    std::int64_t held_until_ms = INT64_MAX;
    bool holds = false;
    std::int64_t wake_at_ms = INT64_MAX;
    std::vector<std::pair<Packet, std::size_t>> queued;   // while it is paused
    std::int64_t paused_ms = 0;         // by its clock
  };
  struct Event {
    std::int64_t at_ms;
    std::uint64_t order;
    std::function<void()> what;
    bool operator<(const Event& other) const {
      return at_ms != other.at_ms ? at_ms > other.at_ms : order > other.order;
    }
  };

  std::uint64_t draw(std::uint64_t below) {
    return below == 0 ? 0 : random_() % below;
  }
  bool percent(int chance) { return draw(100) < static_cast<std::uint64_t>(chance); }
  void at(std::int64_t ms, std::function<void()> what) {
    queue_.push({std::max(ms, now_ms_), order_++, std::move(what)});
  }
  void say(const std::string& text) {
    if (trace_) std::fprintf(stderr, "%8lld %s\n", static_cast<long long>(now_ms_), text.c_str());
  }

  void make(std::size_t i) {
    Node& node = nodes_[i];
    node.arbiter = i > 0 && draw(5) == 0;
    node.valor = node.arbiter ? 0 : 1 + draw(4);
    node.offset_ms = static_cast<std::int64_t>(draw(1'000'000));
    node.drift_ppm = static_cast<int>(draw(401)) - 200;
    if (fault_ == SimFault::kWildClocks) node.drift_ppm *= 1'500;
    if (fault_ == SimFault::kShortPromises && draw(2) == 0) node.stretch = 1.0 / 3;
    if (fault_ == SimFault::kLongLeases && draw(2) == 0) node.stretch = 3;
    node.wall_offset_s = static_cast<std::int64_t>(draw(41)) - 20;
  }

  std::int64_t clock(const Node& node) const {
    return node.offset_ms + now_ms_ + now_ms_ * node.drift_ppm / 1'000'000;
  }
  // The true time at which the node's clock shows `ms`.
  std::int64_t true_time(const Node& node, std::int64_t ms) const {
    return now_ms_ + (ms - clock(node)) * 1'000'000 / (1'000'000 + node.drift_ppm);
  }
  std::int64_t wall(const Node& node) const {
    return kStart_s + now_ms_ / 1000 + node.wall_offset_s;
  }

  static std::int64_t stretched(const Node& node, std::int64_t tolerance_ms) {
    return static_cast<std::int64_t>(static_cast<double>(tolerance_ms) * node.stretch);
  }

  ElectionOptions options(const Node& node) const {
    ElectionOptions options;
    options.valor = node.valor;
    options.quorum = quorum_;
    options.freq_ms = kFreq_ms;
    options.tolerance_ms = stretched(node, node.tolerance_ms);
    options.death_on_lord_error_ms = 5'000;
    return options;
  }

  void start(std::size_t i) {
    Node& node = nodes_[i];
    if (node.election) return;
    ++node.life;
    node.paused = false;
    node.leaving = false;
    node.queued.clear();
    node.election = std::make_unique<Election>(
        options(node), wire_, "sim", "host", i, uuid_of(random_),
        clock(node) - (fault_ == SimFault::kNoListening ? 10'000 : 0));
    say("start " + std::to_string(i) + " " + std::string(node.election->uuid().text()) + " valor " + std::to_string(node.valor));
    step(i);
  }

  // Its process is gone: so is what it holds, when the kernel's lifetime ends.
  void crash(std::size_t i) {
    Node& node = nodes_[i];
    if (!node.election) return;
    const bool power = draw(2) == 0;
    say((power ? "power off " : "kill ") + std::to_string(i));
    if (!power && node.holds) ghosts_.push_back({lease_end(node), kernel_end(node)});
    drop(i);
  }

  std::int64_t lease_end(const Node& node) const {
    return true_time(node, node.election->lease_until_ms());
  }
  // When the kernel takes the address away unless it is renewed, in true time.
  std::int64_t kernel_end(const Node& node) const {
    if (fault_ == SimFault::kNoLifetimes) return INT64_MAX;
    const bool outlives = wire_ == Wire::kSealed && quorum_ > 1;
    return lease_end(node) + (outlives ? node.tolerance_ms * 2 / 3 : 0);
  }

  void drop(std::size_t i) {
    Node& node = nodes_[i];
    node.election.reset();
    node.holds = false;
    node.paused = false;
    ++node.life;
    node.wake_at_ms = INT64_MAX;
  }

  void pause(std::size_t i) {
    Node& node = nodes_[i];
    if (!node.election || node.paused) return;
    say("pause " + std::to_string(i));
    node.paused = true;
    node.paused_ms = clock(node);
    if (!node.holds) return;
    node.lease_until_ms = lease_end(node);
    node.held_until_ms = kernel_end(node);
  }

  void resume(std::size_t i) {
    Node& node = nodes_[i];
    if (!node.election || !node.paused) return;
    say("resume " + std::to_string(i));
    node.paused = false;
    node.lease_until_ms = node.held_until_ms = INT64_MAX;
    if (node.holds && node.election->lease_until_ms() <= clock(node)) {
      node.holds = false;               // it is gone already
    }
    auto queued = std::exchange(node.queued, {});
    // Timers and packets of the pause come in any order.
    if (draw(2) == 0) step(i);
    for (const auto& [announce, from] : queued) {
      if (!node.election) return;
      deliver_now(i, announce, from, node.paused_ms);
    }
    if (node.election) step(i);
  }

  void step(std::size_t i) {
    Node& node = nodes_[i];
    if (!node.election || node.paused) return;
    node.election->advance(clock(node), wall(node));
    act(i);
  }

  void act(std::size_t i) {
    Node& node = nodes_[i];
    for (const Action& action : node.election->take_actions()) {
      switch (action.kind) {
        case Action::Kind::kSend: send(i); break;
        case Action::Kind::kLord: on_lord(i); break;
        case Action::Kind::kUnlord: on_unlord(i, action.why); break;
        default: break;
      }
    }
    if (!node.election) return;
    const std::int64_t wake_ms =
        true_time(node, node.election->next_wake_ms(clock(node)) + 1) +
        static_cast<std::int64_t>(draw(50));
    if (wake_ms < node.wake_at_ms || node.wake_at_ms <= now_ms_) {
      node.wake_at_ms = wake_ms;
      at(wake_ms, [this, i, life = node.life, wake_ms] {
        if (nodes_[i].life != life || nodes_[i].wake_at_ms != wake_ms) return;
        nodes_[i].wake_at_ms = INT64_MAX;
        step(i);
      });
    }
  }

  void on_lord(std::size_t i) {
    Node& node = nodes_[i];
    say("LORD " + std::to_string(i));
    node.holds = true;
    node.held_until_ms = INT64_MAX;
    ++result_.lords;
    const bool may_fail = calm_until_ms_ <= now_ms_ && draw(12) == 0;
    at(now_ms_ + static_cast<std::int64_t>(draw(300)), [this, i, life = node.life, may_fail] {
      if (nodes_[i].life != life || !nodes_[i].election || nodes_[i].paused) return;
      // A calm that began meanwhile has its members for as long as it lasts.
      const bool fails = may_fail && !is_calm(i, i);
      if (fails) say("lord hook fails " + std::to_string(i));
      nodes_[i].election->on_lorded(!fails, clock(nodes_[i]), wall(nodes_[i]));
      act(i);
    });
  }

  void on_unlord(std::size_t i, Why why) {
    say("unlord " + std::to_string(i) + ": " + std::string(to_string(why)));
    const std::uint64_t life = nodes_[i].life;
    const auto after_ms = static_cast<std::int64_t>(draw(kUnlordMost_ms));
    if (fault_ == SimFault::kHastyUnlord) {
      at(now_ms_ + 10 * after_ms, [this, i, life] {
        if (nodes_[i].life == life) nodes_[i].holds = false;
      });
    }
    unlorded(i, life, fault_ == SimFault::kHastyUnlord ? 0 : after_ms);
  }
  void unlorded(std::size_t i, std::uint64_t life, std::int64_t after_ms) {
    at(now_ms_ + after_ms, [this, i, life] {
      Node& node = nodes_[i];
      if (node.life != life || !node.election) return;
      if (node.paused) return unlorded(i, life, 20);
      if (fault_ != SimFault::kHastyUnlord) node.holds = false;
      node.election->on_unlorded(clock(node), wall(node));
      act(i);
      if (node.election && node.election->finished()) {
        send(i);
        say("left " + std::to_string(i));
        drop(i);
      }
    });
  }

  void send(std::size_t i) {
    Node& node = nodes_[i];
    const auto announce = std::make_shared<Announce>(
        node.election->make_announce(clock(node), wall(node)));
    announce->tolerance_ms = node.tolerance_ms;
    for (std::size_t to = 0; to < nodes_.size(); ++to) {
      if (to == i || cut_[i][to]) continue;
      const bool calm = is_calm(i, to);
      if (!calm && percent(loss_percent_)) continue;
      const int copies = !calm && percent(repeat_percent_) ? 2 : 1;
      for (int copy = 0; copy < copies; ++copy) {
        const auto delay_ms = static_cast<std::int64_t>(
            draw(static_cast<std::uint64_t>(calm ? kCalmDelay_ms : kDelayMost_ms)));
        at(now_ms_ + delay_ms, [this, i, to, announce] { deliver(to, announce, i); });
        // Somebody recorded it.
        if (recorded_.size() < 64 || draw(8) == 0) {
          if (recorded_.size() >= 64) recorded_.erase(recorded_.begin() + static_cast<std::ptrdiff_t>(draw(64)));
          recorded_.push_back({announce, i});
        }
      }
    }
  }

  void deliver(std::size_t to, const Packet& announce, std::size_t from) {
    Node& node = nodes_[to];
    if (!node.election) return;
    if (node.paused) {
      if (node.queued.size() < 200) node.queued.emplace_back(announce, from);
      return;
    }
    deliver_now(to, announce, from, clock(node));
  }
  void deliver_now(std::size_t to, const Packet& announce, std::size_t from,
                   std::int64_t arrived_ms) {
    Node& node = nodes_[to];
    Packet taken = announce;
    if (node.stretch != 1) {
      auto changed = std::make_shared<Announce>(*announce);
      changed->tolerance_ms = stretched(node, announce->tolerance_ms);
      taken = std::move(changed);
    }
    // A group's packets do not tell whose they are.
    const std::string_view source =
        multicast_ ? taken->uuid.text() : std::string_view(names_[from]);
    static_cast<void>(node.election->on_announce(*taken, source, clock(node),
                                                 arrived_ms, wall(node)));
    act(to);
  }

  bool is_calm(std::size_t one, std::size_t other) const {
    return now_ms_ < calm_until_ms_ && calm_.contains(one) && calm_.contains(other);
  }

  // Something bad, and then now and then a calm.
  void trouble() {
    if (now_ms_ < calm_until_ms_) {
      at(calm_until_ms_ + 1, [this] { trouble(); });
      return;
    }
    const std::size_t i = draw(nodes_.size());
    switch (draw(14)) {
      case 0: crash(i); break;
      case 1: start(i); break;
      case 2: {
        pause(i);
        const auto life = nodes_[i].life;
        at(now_ms_ + 100 + static_cast<std::int64_t>(draw(9'000)), [this, i, life] {
          if (nodes_[i].life == life) resume(i);
        });
        break;
      }
      case 3: split(); break;
      case 4: cut_[i][draw(nodes_.size())] = true; break;
      case 5: heal(); break;
      case 6: change_valor(i); break;
      case 7: leave(i); break;
      case 8: replay(); break;
      case 9: one_way(i); break;
      case 10: crash_loop(i, 2 + draw(5)); break;
      case 11: step_wall(i); break;
      default: begin_calm(); break;
    }
    at(now_ms_ + 50 + static_cast<std::int64_t>(draw(2'500)), [this] { trouble(); });
  }

  // It is killed and started anew, and again.
  void crash_loop(std::size_t i, std::uint64_t times) {
    if (times == 0 || is_calm(i, i)) return;
    crash(i);
    start(i);
    at(now_ms_ + 100 + static_cast<std::int64_t>(draw(1'500)),
       [this, i, times] { crash_loop(i, times - 1); });
  }
  // Clocks stay within the skew that is tolerated.
  void step_wall(std::size_t i) {
    nodes_[i].wall_offset_s = static_cast<std::int64_t>(draw(41)) - 20;
    say("wall clock of " + std::to_string(i) + " is off by " +
        std::to_string(nodes_[i].wall_offset_s));
  }

  void split() {
    say("split");
    std::vector<bool> side(nodes_.size());
    for (std::size_t i = 0; i < side.size(); ++i) side[i] = draw(2) == 0;
    for (std::size_t a = 0; a < side.size(); ++a) {
      for (std::size_t b = 0; b < side.size(); ++b) cut_[a][b] = side[a] != side[b];
    }
  }
  void heal() {
    say("heal");
    for (auto& row : cut_) std::fill(row.begin(), row.end(), false);
  }
  void one_way(std::size_t i) {
    const bool deaf = draw(2) == 0;
    say((deaf ? "deaf " : "mute ") + std::to_string(i));
    for (std::size_t other = 0; other < nodes_.size(); ++other) {
      if (deaf) cut_[other][i] = true;
      else cut_[i][other] = true;
    }
  }
  void change_valor(std::size_t i) {
    Node& node = nodes_[i];
    if (!node.election || node.paused || node.arbiter) return;
    node.valor = 1 + draw(4);
    say("valor of " + std::to_string(i) + " is " + std::to_string(node.valor));
    node.election->reconfigure(options(node), clock(node), wall(node));
    act(i);
  }
  void leave(std::size_t i) {
    Node& node = nodes_[i];
    if (!node.election || node.paused) return;
    say("leave " + std::to_string(i));
    node.leaving = true;
    node.election->leave(clock(node), wall(node));
    act(i);
    if (node.election && node.election->finished()) {
      send(i);
      drop(i);
    }
  }
  // All that was recorded, to everybody; first, farewells of many former lives.
  void replay() {
    say("replay");
    replayed_ms_ = now_ms_;
    for (std::size_t to = 0; to < nodes_.size() && draw(2) == 0; ++to) {
      for (int life = 0; life < kFormerLives; ++life) {
        auto farewell = std::make_shared<Announce>();
        farewell->legion = "sim";
        farewell->uuid = uuid_of(random_);
        farewell->sequence = 1'000;
        farewell->unix_s = wall(nodes_[to]);
        farewell->sealed = wire_ == Wire::kSealed;
        farewell->dead = true;
        deliver(to, farewell, to == 0 ? nodes_.size() - 1 : 0);
      }
    }
    for (const auto& [announce, from] : recorded_) {
      for (std::size_t to = 0; to < nodes_.size(); ++to) {
        at(now_ms_ + static_cast<std::int64_t>(draw(200)),
           [this, to, a = announce, f = from] { deliver(to, a, f); });
      }
    }
  }

  // A quorum with a member that may be Lord is well connected for two tolerances,
  // and the others are away; on the uwsgi wire they must be, since uWSGI's rule
  // wants that everybody agrees. On the sealed wire they may also be heard and hear
  // one way or both, and crash.
  void begin_calm() {
    std::vector<std::size_t> order(nodes_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    // Who has another tolerance does not count.
    std::erase_if(order, [&](auto i) { return nodes_[i].tolerance_ms != kTolerance_ms; });
    std::shuffle(order.begin(), order.end(), random_);
    const std::size_t size = quorum_ + draw(order.size() - quorum_ + 1);
    calm_.clear();
    for (std::size_t i = 0; i < size; ++i) calm_.insert(order[i]);
    if (std::all_of(calm_.begin(), calm_.end(), [&](auto i) { return nodes_[i].arbiter; })) return;
    std::string who;
    for (const std::size_t i : calm_) {
      resume(i);
      start(i);
      if (nodes_[i].leaving || nodes_[i].election->suspended(clock(nodes_[i]))) {
        drop(i);
        start(i);
      }
      who += " " + std::to_string(i);
    }
    is_crowded_ = wire_ == Wire::kSealed && draw(2) == 0;
    for (std::size_t a = 0; a < nodes_.size(); ++a) {
      for (std::size_t b = 0; b < nodes_.size(); ++b) {
        const bool in_a = calm_.contains(a);
        const bool in_b = calm_.contains(b);
        if (in_a && in_b) cut_[a][b] = false;
        if (in_a != in_b) cut_[a][b] = !is_crowded_ || draw(3) != 0;
      }
    }
    say((is_crowded_ ? "crowded calm of" : "calm of") + who);
    ++result_.calms;
    is_second_look_ = false;
    lord_seen_ms_ = INT64_MIN / 2;
    outside_seen_ms_ = INT64_MIN / 2;
    calm_longer_ = 0;
    calm_until_ms_ = now_ms_ + 2 * kTolerance_ms;
    at(calm_until_ms_ - 1, [this] { judge_calm(); });
  }

  // The Lord of the calm ones; on the sealed wire it may be somebody outside, by
  // their votes, whether they have heard of it by now or not.
  bool has_lord() const {
    const auto is_held = [&](const Node& node) {
      return node.holds && node.held_until_ms > now_ms_;
    };
    if (wire_ == Wire::kSealed &&
        std::any_of(nodes_.begin(), nodes_.end(), is_held)) {
      return true;
    }
    return std::any_of(calm_.begin(), calm_.end(), [&](std::size_t i) {
      const auto& election = nodes_[i].election;
      return election && (election->role() == Role::kLord ||
                          (wire_ == Wire::kSealed && election->lord() != nullptr));
    });
  }

  void judge_calm() {
    if (has_lord()) return;
    // One may just be taking over from another: that lasts for a moment, once. And
    // the Lord may have been one of those about the calm, and be gone at any time:
    // the two tolerances count from its end, though not for ever.
    std::int64_t until_ms = is_second_look_ ? now_ms_ : lord_seen_ms_ + kTolerance_ms / 2;
    is_second_look_ = true;
    if (calm_longer_ < kCalmLongerMost && outside_seen_ms_ + 2 * kTolerance_ms > until_ms) {
      until_ms = outside_seen_ms_ + 2 * kTolerance_ms;
      ++calm_longer_;
    }
    if (until_ms > now_ms_ + 1) {
      calm_until_ms_ = until_ms;
      at(calm_until_ms_ - 1, [this] { judge_calm(); });
      return;
    }
    fail("a quorum was connected for two tolerances, and nobody is Lord: " +
         nodes_[*calm_.begin()].election->why_no_quorum(clock(nodes_[*calm_.begin()])));
  }

  // Between two events nothing changes but that time ends leases and lifetimes.
  void watch_until(std::int64_t until_ms) {
    if (now_ms_ < calm_until_ms_ && has_lord()) lord_seen_ms_ = now_ms_;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (is_held(nodes_[i], nodes_[i].held_until_ms) && !calm_.contains(i)) {
        outside_seen_ms_ = now_ms_;
      }
    }
    const std::int64_t tolerance_ms = longest_tolerance_ms();
    if (wire_ == Wire::kSealed) {
      judge(leases_, &Node::lease_until_ms, &Ghost::lease_ms, until_ms, 0);
    }
    // On the sealed wire a killed or stopped one's kernel holds it beside the next
    // Lord. On the uwsgi wire a vote that is repeated to whom it never came is a vote.
    const std::int64_t since_ms = lifetimes_.since_ms < 0 ? now_ms_ : lifetimes_.since_ms;
    const bool misled = wire_ == Wire::kUwsgi && since_ms - replayed_ms_ < kTolerance_ms;
    judge(lifetimes_, &Node::held_until_ms, &Ghost::kernel_ms, until_ms,
          misled ? 2 * tolerance_ms : tolerance_ms);
  }

  // What the kernel of a killed one does, true time.
  struct Ghost {
    std::int64_t lease_ms;
    std::int64_t kernel_ms;
  };
  // How long two at a time have been there.
  struct Overlap {
    std::int64_t since_ms = -1;
  };

  bool is_held(const Node& node, std::int64_t end_ms) const {
    return node.holds && end_ms > now_ms_;
  }
  // That of the holders: uWSGI's packets do not tell it.
  std::int64_t longest_tolerance_ms() const {
    std::int64_t longest_ms = kTolerance_ms;
    for (const Node& node : nodes_) {
      if (is_held(node, node.held_until_ms)) {
        longest_ms = std::max(longest_ms, node.tolerance_ms);
      }
    }
    return longest_ms;
  }
  void judge(Overlap& overlap, std::int64_t Node::* end_of, std::int64_t Ghost::* end_of_ghost,
             std::int64_t until_ms, std::int64_t allowed_ms) {
    int holders = 0;
    std::int64_t first_end = INT64_MAX;
    std::string who;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      const std::int64_t end_ms = nodes_[i].*end_of;
      if (!is_held(nodes_[i], end_ms)) continue;
      ++holders;
      first_end = std::min(first_end, end_ms);
      who += " " + std::to_string(i);
    }
    for (const Ghost& ghost : ghosts_) {
      const std::int64_t end_ms = ghost.*end_of_ghost;
      if (end_ms <= now_ms_) continue;
      ++holders;
      first_end = std::min(first_end, end_ms);
      who += " a killed one";
    }
    if (holders < 2) {
      overlap.since_ms = -1;
      return;
    }
    if (overlap.since_ms < 0) overlap.since_ms = now_ms_;
    const std::int64_t overlap_ms = std::min(until_ms, first_end) - overlap.since_ms;
    result_.longest_overlap_ms = std::max(result_.longest_overlap_ms, overlap_ms);
    if (overlap_ms > allowed_ms) {
      fail("two hold it for " + std::to_string(overlap_ms) + " ms:" + who);
    }
  }

  void fail(const std::string& what) {
    if (!result_.failure) {
      result_.failure = "at " + std::to_string(now_ms_) + " ms with " +
                        std::to_string(nodes_.size()) + " members, quorum " +
                        std::to_string(quorum_) + ": " + what;
      say("FAILED: " + what);
    }
  }

  std::mt19937_64 random_;
  const Wire wire_;
  const bool trace_;
  const SimFault fault_;
  bool multicast_ = false;
  std::vector<Node> nodes_;
  std::uint64_t quorum_ = 1;
  int loss_percent_ = 0;
  int repeat_percent_ = 0;
  std::vector<std::vector<bool>> cut_;            // [from][to]
  std::set<std::size_t> calm_;
  std::int64_t calm_until_ms_ = 0;
  std::int64_t lord_seen_ms_ = 0;
  std::int64_t outside_seen_ms_ = 0;              // that who holds it is not of the calm
  int calm_longer_ = 0;
  bool is_second_look_ = false;
  bool is_crowded_ = false;
  std::int64_t now_ms_ = 0;
  std::uint64_t order_ = 0;
  std::priority_queue<Event> queue_;
  std::vector<std::pair<Packet, std::size_t>> recorded_;
  std::vector<std::string> names_;
  std::vector<Ghost> ghosts_;             // of the killed ones
  Overlap leases_;
  Overlap lifetimes_;
  std::int64_t replayed_ms_ = INT64_MIN / 2;
  SimResult result_;
};

}  // namespace

SimResult run_legion_schedule(std::uint64_t seed, legion::Wire wire,
                              bool trace, SimFault fault) {
  return Sim(seed, wire, trace, fault).run();
}

}  // namespace fealty::test
