#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/clock.h"
#include "subscription/table.h"

// Tables of many keys with a node each, as announcements make them.
namespace fealty::bench {

class StillClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t monotonic_ms() const override { return now_ms; }
  [[nodiscard]] std::int64_t unix_s() const override { return 1'795'000'000; }
  std::int64_t now_ms = 1'000'000;
};

inline std::string key_of(std::size_t i) {
  return "www.customer-" + std::to_string(i) + ".example.com";
}

inline subscription::Announcement announcement_of(std::size_t i) {
  subscription::Announcement announcement;
  announcement.key = key_of(i);
  announcement.address_text = "/containers/" + std::to_string(i) + "/http.sock";
  announcement.address = *Address::parse(announcement.address_text);
  return announcement;
}

// A router that has been told of everybody, and published it.
struct Routes {
  explicit Routes(std::size_t keys);
  StillClock clock;
  subscription::Table table{clock, 30'000, true, 4'000'000};
  std::shared_ptr<const subscription::Snapshot> snapshot;
};

// Made once a size and kept: a million takes some seconds.
Routes& routes_of(std::size_t keys);
// How much the process grew, in bytes of RSS a key, when routes_of(keys) made
// them.
double bytes_per_key(std::size_t keys);

}  // namespace fealty::bench
