#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "base/result.h"
#include "cli/ack_socket.h"
#include "cli/materials.h"
#include "cli/plan.h"
#include "cli/server_link.h"

namespace fealty::cli {

// Announces a plan's node under all its keys to all its servers, takes it back,
// and hears what routers acknowledge.
class Announcer {
 public:
  // A router acknowledges at once or not at all; after so long the silence is
  // worth a word.
  static constexpr std::int64_t kSilence_ms = 3'000;

  // `on_settled`: announcements arrive, as far as can be known: acknowledged, or
  // sent to servers that acknowledge nothing or were silent for kSilence_ms. May
  // be called more than once.
  Announcer(Loop& loop, const Clock& clock, const Plan& plan,
            std::function<void()> on_settled);

  // Opens the acknowledgements' socket, reads the files, and makes each packet
  // once, so that what can never be sent is found here.
  [[nodiscard]] Status prepare();

  void announce();
  void withdraw();
  void send_once(wire::SubscriptionCommand command);
  // Nothing of a withdraw() or send_once() is left to be sent.
  [[nodiscard]] bool quiet() const;
  [[nodiscard]] std::size_t servers_taking() const;

 private:
  [[nodiscard]] Result<std::string> make_packet(
      const ServerTarget& server, std::size_t key,
      wire::SubscriptionCommand command);
  void reload();
  void on_taken();
  void on_ack(std::string_view text);
  void on_silence();
  void settle();
  [[nodiscard]] bool hears(const ServerTarget& server) const;
  [[nodiscard]] bool hears_any() const;

  Loop& loop_;
  const Clock& clock_;
  const Plan& plan_;
  std::function<void()> on_settled_;
  Materials materials_;
  std::string reload_problem_;   // said last
  AckSocket acks_;
  std::set<std::string, std::less<>> silent_keys_;  // not acknowledged yet
  TimerWatcher silence_;
  bool silence_said_ = false;
  std::uint64_t nonce_start_;
  std::uint64_t nonces_ = 0;
  std::vector<std::unique_ptr<ServerLink>> links_;
};

}  // namespace fealty::cli
