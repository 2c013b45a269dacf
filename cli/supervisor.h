#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "cli/announcer.h"
#include "cli/check.h"
#include "cli/command.h"
#include "cli/plan.h"
#include "cli/service_manager.h"

namespace fealty::cli {

// `fealty subscribe`: keeps an application's announcement as true as can be. All
// on one loop; nothing blocks.
//
//   state       means                               leaves by
//   Waiting     not announced: it does not answer   check answers -> Announced
//   Announced   routers send it requests            check fails -> Waiting
//                                                   TERM, INT, QUIT -> Draining
//   Draining    routers were told; the requests     --drain is over, or a second
//               that it is at go on                 signal -> Ending
//   Ending      COMMAND has got the signal          COMMAND ends -> Leaving
//   Leaving     COMMAND is gone: the last word to   all said, nobody left (or
//               routers, and to whom it left behind kLeave_ms over) -> the end
//
// COMMAND's end leads to Leaving from every state. Without COMMAND, TERM and INT
// do. A check that finds nobody listening fails at once, one that is slow or
// answers badly after kBadChecks in a row.
class Supervisor {
 public:
  static constexpr std::int64_t kFirstCheck_ms = 50;
  static constexpr std::int64_t kWaitingCheckMax_ms = 1'000;
  static constexpr std::int64_t kCheck_ms = 2'000;
  static constexpr int kBadChecks = 3;
  static constexpr std::int64_t kWorthSaying_ms = 5'000;
  static constexpr std::int64_t kStartBeat_ms = 5'000;
  static constexpr std::int64_t kLeave_ms = 5'000;
  static constexpr std::int64_t kLeaveStep_ms = 20;

  // `plan` must outlive it.
  explicit Supervisor(const Plan& plan);
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Until the end; the process's exit code.
  [[nodiscard]] int run();

 private:
  enum class State : std::uint8_t { kWaiting, kAnnounced, kDraining, kEnding,
                                    kLeaving };

  void prepare_address();
  [[nodiscard]] int start_command();
  void open_to_routers();
  void watch_signals();
  void begin();
  void look();
  void on_checked(Check::Finding finding, const std::string& why);
  void on_bad(Check::Finding finding, const std::string& why);
  void set_announced(const std::string& why);
  void set_waiting(const std::string& why);
  void on_end_signal(int number);
  void on_passed_signal(int number);
  void on_child(int number);
  void on_drained();
  void leave();
  void on_leave_step();
  void on_settled();
  void on_start_beat();
  void on_watchdog();
  [[nodiscard]] int run_once();
  void on_once_checked(Check::Finding finding, const std::string& why);
  void on_once_step();
  [[nodiscard]] std::string summary() const;

  const Plan& plan_;
  Loop loop_;
  SystemClock clock_;
  ServiceManager manager_;
  Announcer announcer_;
  std::optional<Check> check_;
  std::optional<Command> command_;
  std::vector<std::unique_ptr<SignalWatcher>> signals_;
  TimerWatcher check_timer_;
  TimerWatcher drain_timer_;
  TimerWatcher leave_timer_;
  TimerWatcher start_timer_;
  TimerWatcher watchdog_timer_;
  TimerWatcher once_timer_;
  State state_ = State::kWaiting;
  std::int64_t waiting_since_ms_ = 0;
  std::int64_t check_pause_ms_ = kFirstCheck_ms;
  bool waiting_said_ = false;
  int bad_checks_ = 0;
  std::string mode_problem_;     // said last
  int end_signal_ = 0;
  std::int64_t leave_until_ms_ = 0;
  bool swept_ = false;
  int exit_code_ = 0;
};

}  // namespace fealty::cli
