#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "legion/address_keeper.h"
#include "legion/options.h"

namespace fealty::legion {

// What is to be done for one event.
struct HookJob {
  Event event = Event::kSetup;
  std::vector<HookAction> actions;
  std::vector<std::string> environment;    // NAME=VALUE, besides the process's
  std::int64_t timeout_ms = 10'000;        // of each action
  // kUnlord: the lease is over, so the addresses go before any command runs.
  bool addresses_first = false;
  std::string alarm_command;               // of the action `alarm`; "": none
};

struct HookResult {
  Event event = Event::kSetup;
  bool ok = true;                          // no action failed
  bool cancelled = false;                  // it had to make room
};

// Runs a Legion's hooks on a thread of its own, one after the other in the order
// of post(): never two at a time, never on the loop. kUnlord is urgent: it ends
// the command that runs (SIGTERM, SIGKILL kGrace_ms later), takes the place of a
// kLord that waits, and goes before all others; once it is done, no address is
// held, whatever its actions were. kDeath ends node events, those that wait and the
// one that runs. A command that outlives its time is ended the same way, with its
// whole process group.
//
// Bounded: kWaitingMax jobs wait; node events beyond that are dropped and
// counted. The destructor waits for what runs (cancelled) and runs nothing more.
class HookRunner {
 public:
  static constexpr std::size_t kWaitingMax = 256;
  static constexpr int kGrace_ms = 200;

  // `done` is called on the runner's thread after each job.
  HookRunner(std::string legion, AddressKeeper& addresses,
             std::function<void(const HookResult&)> done);
  ~HookRunner();
  HookRunner(const HookRunner&) = delete;
  HookRunner& operator=(const HookRunner&) = delete;

  // Any thread.
  void post(HookJob job);
  [[nodiscard]] std::uint64_t dropped() const;
  // Since when a job has been running, by the boot clock; empty if none.
  [[nodiscard]] bool idle() const;

 private:
  void run();
  [[nodiscard]] HookResult perform(const HookJob& job);
  [[nodiscard]] Status perform_action(const HookAction& action,
                                      const HookJob& job);
  [[nodiscard]] Status execute(const std::string& command, const HookJob& job);
  [[nodiscard]] bool cancelled() const;
  void cancel();

  const std::string legion_;
  AddressKeeper& addresses_;
  const std::function<void(const HookResult&)> done_;
  UniqueFd cancel_fd_;                     // an eventfd that ends the command
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<HookJob> waiting_;
  std::optional<Event> running_;
  bool cancelled_ = false;
  bool ended_ = false;
  std::uint64_t dropped_ = 0;
  std::thread thread_;
};

[[nodiscard]] std::string_view to_string(Event event);

}  // namespace fealty::legion
