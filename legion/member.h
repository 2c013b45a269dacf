#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/inbox.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/result.h"
#include "legion/address_keeper.h"
#include "legion/cipher.h"
#include "legion/election.h"
#include "legion/hook_runner.h"
#include "legion/netlink.h"
#include "legion/options.h"
#include "legion/sealed.h"
#include "legion/transport.h"

namespace fealty::legion {

// Our member of one Legion: an Election with its socket, its ciphers, its hooks
// and its addresses around it, on the loop's thread.
//
//   bind() → start() → ... → leave() → left()
class Member {
 public:
  // Why a datagram was dropped, besides Election::Verdict.
  enum class Drop : std::uint8_t {
    kOversized,     // larger than any announcement
    kWeakerWire,    // uwsgi's wire, where the sealed one is spoken
    kOtherWire,     // the sealed wire, where uwsgi's is spoken
    kUndecryptable, // no packet, a wrong key, bent, cut
    kMalformed,     // decrypts, and says nonsense
    kOtherLegion,
    kOwn,
    kSkew,
    kReplayed,
    kFull,
  };
  static constexpr std::size_t kDrops = 10;

  Member(Loop& loop, const Clock& clock, LegionOptions options,
         const std::string& alarm_command, std::string host);
  ~Member();
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  // The socket and the ciphers, or why not. Before privileges are dropped.
  [[nodiscard]] Status bind();
  // Afterwards: threads, timers, the setup hooks.
  void start();
  // New options of the same name, address, wire and secret.
  void reconfigure(LegionOptions options, const std::string& alarm_command);
  // Steps down, announces that it is dead and runs the death hooks; `left` is
  // called once, on the loop.
  void leave(std::function<void()> left);

  [[nodiscard]] const LegionOptions& options() const { return options_; }
  [[nodiscard]] const Election& election() const { return *election_; }
  [[nodiscard]] const Transport& transport() const { return transport_; }
  [[nodiscard]] const HookRunner& hooks() const { return *hooks_; }
  [[nodiscard]] std::vector<FloatingAddress> held() const {
    return addresses_->held();
  }
  [[nodiscard]] std::uint64_t drops(Drop drop) const {
    return drops_[static_cast<std::size_t>(drop)];
  }
  struct Counters {
    std::uint64_t taken = 0;
    std::uint64_t lords = 0;             // how often we became Lord
    std::uint64_t unlords = 0;
    std::uint64_t hook_failures = 0;
    std::uint64_t stalls = 0;            // how often the loop was late
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }
  // By the boot clock; 0: never.
  [[nodiscard]] std::int64_t role_since_ms() const { return role_since_ms_; }

 private:
  void on_readable(int events);
  void on_tick();
  void on_hook_done();
  void turn();
  void on_datagram(std::string_view datagram, const Address& from);
  [[nodiscard]] std::optional<Announce> decode(std::string_view datagram);
  void count(Drop drop, const Address& from, std::string_view what);
  void act();
  void act_on(const Action& action);
  void send();
  void post(Event event, const Announce* who = nullptr, bool urgent = false);
  [[nodiscard]] std::vector<std::string> environment(Event event,
                                                     const Announce* who) const;
  void update_lease();
  [[nodiscard]] std::int64_t outlive_ms() const;
  void report_quorum();
  void finish_leaving();
  void remove_stale_addresses();
  void log_warnings() const;
  [[nodiscard]] std::int64_t tick_ms() const;

  Loop& loop_;
  const Clock& clock_;
  LegionOptions options_;
  std::string alarm_command_;
  const std::string host_;
  std::optional<UwsgiCipher> cipher_;
  std::optional<SealedWire> sealed_;
  std::unique_ptr<Election> election_;
  Transport transport_;
  IoWatcher io_;
  TimerWatcher tick_;
  std::int64_t last_turn_ms_ = 0;
  std::int64_t now_ms_ = 0;              // of this turn
  std::int64_t arrived_ms_ = 0;          // of this turn's packets, at the earliest
  std::int64_t role_since_ms_ = 0;
  std::function<void()> left_;
  bool death_said_ = false;
  bool had_quorum_ = false;
  bool quorum_reported_ = false;
  std::array<std::uint64_t, kDrops> drops_{};
  Counters counters_;
  log::Limiter drop_log_{10'000};
  Inbox<HookResult, 1024> results_;
  std::vector<HookResult> taken_results_;
  KernelInterfaces interfaces_;
  std::unique_ptr<AddressKeeper> addresses_;
  std::unique_ptr<HookRunner> hooks_;    // the last: it posts into results_
};

[[nodiscard]] std::string_view to_string(Member::Drop drop);

}  // namespace fealty::legion
