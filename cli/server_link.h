#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "base/clock.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/result.h"
#include "cli/plan.h"
#include "wire/subscription_packet.h"

namespace fealty::cli {

// Sends rounds of announcements, a datagram a key, to one subscription server:
// every `every_ms` (a little less, so that announcers do not beat together), and
// at once when the server's socket was made anew, which is how a router that
// was started again is noticed.
//
// Never blocks and never gives up: a server that is away is tried again every
// kRetry_ms, one whose queue is full every kFull_ms. Each trouble is said once,
// when it begins, and its end with the number of tries in between.
//
// UDP: that nobody listens is learnt from the kernel a moment after sending. On
// a network that loses packets the first rounds, and an unsubscribe, go out more
// than once.
class ServerLink {
 public:
  static constexpr std::int64_t kRetry_ms = 500;
  static constexpr std::int64_t kFull_ms = 50;
  // A full queue is ordinary (the kernel lets some ten datagrams wait); one that
  // stays full is not.
  static constexpr std::int64_t kFullWorthSaying_ms = 2'000;
  static constexpr std::int64_t kFirstRounds_ms = 1'000;
  static constexpr int kFirstRounds = 3;
  static constexpr std::int64_t kAgain_ms = 100;
  // How long send_once() listens for word that nobody reads a UDP port.
  static constexpr std::int64_t kWord_ms = 100;
  static constexpr std::int64_t kWatch_ms = 1'000;

  // The datagram for the key of that number.
  using MakePacket = std::function<Result<std::string>(
      const ServerTarget& server, std::size_t key,
      wire::SubscriptionCommand command)>;
  struct Events {
    std::function<void()> round_begins;      // files may be read again
    std::function<void()> taken;             // a whole round was
  };

  ServerLink(Loop& loop, const Clock& clock, const Plan& plan,
             const ServerTarget& server, MakePacket make_packet,
             Events events);
  ServerLink(const ServerLink&) = delete;
  ServerLink& operator=(const ServerLink&) = delete;

  void announce();
  // What was announced is taken back, and nothing more is sent.
  void withdraw();
  // One round, tried once: taken() tells when it is quiet() again.
  void send_once(wire::SubscriptionCommand command);
  // Nothing is left to be sent: it was withdrawn, or is not reachable anyway.
  [[nodiscard]] bool quiet() const { return mode_ == Mode::kQuiet; }
  // The last round arrived, as far as is known.
  [[nodiscard]] bool taken() const { return taken_; }
  [[nodiscard]] std::uint64_t failures() const { return failures_; }

 private:
  enum class Mode : std::uint8_t { kQuiet, kAnnouncing, kWithdrawing, kOnce };
  enum class Trouble : std::uint8_t { kNone, kAway, kForbidden, kFull, kOther };
  // Of the server's socket file. An inode's number is soon used again.
  struct Identity {
    dev_t device = 0;
    ino_t inode = 0;
    std::int64_t changed_ns = 0;
    bool operator==(const Identity&) const = default;
  };

  void on_timer();
  void on_watch();
  void on_error(int events);
  void begin(Mode mode, wire::SubscriptionCommand command);
  void send_round();
  // 0, or the errno.
  [[nodiscard]] int send_one(std::size_t key);
  void round_done();
  void round_broke(int error);
  [[nodiscard]] bool full_for_long();
  [[nodiscard]] std::int64_t pause_ms();
  [[nodiscard]] bool open();
  [[nodiscard]] Identity identity() const;
  void say_trouble(int error);
  void say_fine();
  [[nodiscard]] std::string explain(int error) const;

  const Clock& clock_;
  const Plan& plan_;
  const ServerTarget& server_;
  MakePacket make_packet_;
  Events events_;
  UniqueFd fd_;
  IoWatcher errors_;
  TimerWatcher timer_;
  TimerWatcher watch_;
  Mode mode_ = Mode::kQuiet;
  wire::SubscriptionCommand command_ = wire::SubscriptionCommand::kSubscribe;
  std::size_t next_key_ = 0;
  int rounds_ = 0;               // since announce() or withdraw()
  bool taken_ = false;
  bool awaits_word_ = false;     // all is sent, once, and may have failed
  Trouble trouble_ = Trouble::kNone;
  std::int64_t full_since_ms_ = 0;           // 0: not full
  std::uint64_t failures_ = 0;               // since the trouble began
  std::string packet_problem_;               // said last
  Identity identity_;
};

}  // namespace fealty::cli
