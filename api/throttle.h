#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

namespace fealty::api {

// How often something may go wrong for a name (a user, an address): `burst`
// times at once, and once more every `refill_ms`. Its memory is fixed: names
// share kSlots buckets by a hash that nobody outside can compute, so that the
// worst that a crowd can do is to share a bucket. Thread-safe.
class Throttle {
 public:
  static constexpr std::size_t kSlots = 16'384;

  Throttle(std::int64_t burst, std::int64_t refill_ms);

  // Whether `name` may try: that is paid for beforehand, so that tries side by
  // side are counted, too.
  [[nodiscard]] bool take(std::string_view name, std::int64_t now_ms);
  // It did not go wrong.
  void give_back(std::string_view name);

 private:
  // When the bucket will be full again; below `now`: it is.
  [[nodiscard]] std::int64_t& slot(std::string_view name);

  const std::int64_t burst_;
  const std::int64_t refill_ms_;
  std::array<unsigned char, 16> key_;
  std::mutex mutex_;
  std::vector<std::int64_t> full_at_ms_;
};

}  // namespace fealty::api
