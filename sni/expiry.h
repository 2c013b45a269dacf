#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sni/snapshot.h"

namespace fealty::sni {

// Which identities expire soonest. Walks a snapshot in steps, so that a hundred
// thousand of them do not hold up the control thread; the answer is that of the
// last walk that came to its end. Control thread only.
class ExpiryScan {
 public:
  static constexpr std::size_t kSoonestMax = 20;

  struct Entry {
    std::string name;
    std::int64_t not_after_s = 0;
  };
  // What goes out of date, as the walk comes by: each of them, however many.
  enum class What : std::uint8_t { kCertificate, kRevocationList };
  struct Due {
    std::string_view name;
    What what = What::kCertificate;
    std::int64_t until_s = 0;
  };
  using OnDue = std::function<void(const Due& due)>;
  // Lists live for days or weeks only, and are renewed on one of their last.
  static constexpr std::int64_t kListAlarm_s = 24 * 3600;

  // Looks at up to `shards` further shards (32,768 are all; some three names
  // each of 100,000) of the walk that is under way, or begins one over
  // `identities`. True where it has come to its end.
  bool step(const SnapshotPtr& identities, std::int64_t now_s,
            std::int64_t alarm_s, std::size_t shards,
            const OnDue& on_due = {});

  // Of the last whole walk: the soonest, in order; and how many there were that
  // expire within the walk's `alarm_s`.
  [[nodiscard]] const std::vector<Entry>& soonest() const { return soonest_; }
  [[nodiscard]] std::size_t alarms() const { return alarms_; }

 private:
  struct Candidate {
    std::int64_t not_after_s;
    const Identity* identity;              // the walked snapshot's
    // By name where the day is the same: a list that jumps about tells nobody.
    bool operator<(const Candidate& other) const {
      if (not_after_s != other.not_after_s) {
        return not_after_s < other.not_after_s;
      }
      return identity->key() < other.identity->key();
    }
  };

  void look_at(const Identity& identity, const OnDue& on_due);
  void finish();

  SnapshotPtr walked_;
  std::size_t next_shard_ = 0;
  std::int64_t alarm_before_s_ = 0;
  std::int64_t lists_before_s_ = 0;
  std::size_t walked_alarms_ = 0;
  std::vector<Candidate> heap_;            // the latest of the soonest on top
  std::vector<Entry> soonest_;
  std::size_t alarms_ = 0;
};

}  // namespace fealty::sni
