#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "subscription/announcement.h"
#include "subscription/credentials.h"

namespace fealty::subscription {

// An announced node with all that is known of it, for a successor of this
// process on the same host (an upgrade): times are of the same clocks.
struct SavedNode {
  std::string key;
  std::string name;                    // its address as announced
  std::string vassal;
  Algorithm algorithm = Algorithm::kWrr;
  Protocol protocol = Protocol::kUwsgi;
  std::uint8_t modifier1 = 0;
  std::uint8_t modifier2 = 0;
  bool sleeping = false;
  bool on_demand = false;
  bool drained = false;
  bool demands_client = false;         // of each client, a certificate
  std::uint32_t weight = 1;
  std::uint32_t backup = 0;
  std::uint32_t cores = 0;
  std::uint32_t load = 0;
  std::uint32_t last_seen_unix_s = 0;
  std::int64_t last_seen_ms = 0;
  std::int64_t rest_until_ms = 0;
  std::int64_t eligible_since_ms = 0;
  std::uint64_t requests = 0;
  std::uint64_t sent_bytes = 0;
  std::uint64_t received_bytes = 0;
  std::optional<Credentials> sender;
};

}  // namespace fealty::subscription
