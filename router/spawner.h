#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/address.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "subscription/pool.h"

namespace fealty::router {

// Asks the Emperor for vassals that sleep: a datagram to its socket, a uwsgi
// packet (docs/protocol/subscription.md) with modifier1 kModifierEmperor and
//
//   cmd=spawn  vassal=NAME  key=KEY  [socket=ADDRESS]
//
// Best effort, and never blocks: what a full or absent socket does not take is
// dropped and counted; the requests that wait ask again. A vassal is asked for
// at most once in kAgain_ms, whoever asks. Bounded: kRememberedMost vassals are
// remembered; beyond that, nobody new is asked for until some are forgotten.
// Control thread only.
class Spawner {
 public:
  static constexpr std::uint8_t kModifierEmperor = 121;
  static constexpr std::int64_t kAgain_ms = 1'000;
  static constexpr std::size_t kRememberedMost = 65'536;

  // Without an Emperor nothing is asked.
  Spawner(const Clock& clock, const std::optional<Address>& emperor);
  Spawner(const Spawner&) = delete;
  Spawner& operator=(const Spawner&) = delete;

  // For the first vassal of the pool's that sleeps.
  void ask(const subscription::Pool& pool);

  struct Counters {
    std::uint64_t sent = 0;
    std::uint64_t dropped = 0;
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  [[nodiscard]] bool may_ask(const std::string& vassal);
  [[nodiscard]] bool send(const subscription::Pool& pool,
                          const subscription::Node& sleeper);

  const Clock& clock_;
  const std::optional<Address>& emperor_;
  UniqueFd socket_;                          // made when it is first needed
  std::unordered_map<std::string, std::int64_t> asked_ms_;
  Counters counters_;
  log::Limiter drop_log_{1'000};
  log::Limiter ask_log_{100};
};

}  // namespace fealty::router
