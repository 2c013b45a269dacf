#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "subscription/hash.h"

namespace fealty::subscription {

// What was accepted with a signature, so that it is accepted once. Control
// thread only; unsigned nodes never come here and cost nothing.
//
// For each node (key and address): the greatest stamp, and every signed content
// whose stamp is at most kReorder_s older than that. Older stamps are refused,
// so nothing else needs to be known: within the tolerance no signature is ever
// forgotten. A node may have kContentsMax of them (uWSGI sends two or three in
// three seconds, at a restart); a packet beyond is refused, not another
// forgotten. A node's memory ends 2 tolerances after its last accepted packet,
// when the latest stamp that it can hold (a tolerance ahead) has left the
// tolerance too. That is measured by the monotonic clock: a wall clock that
// jumps makes nothing be forgotten. (One that is set back by more than the
// tolerance makes captures of what was forgotten count again.)
//
// It is the signed content that is remembered, not the signature's bytes: of an
// ECDSA signature anybody can make a second one for the same content.
//
// Bounds: `capacity` contents in all, some 250 bytes each with their node. A
// customer may hold as many as there is room left beside them: one who floods
// gets half, two get a third each, and there is always room for the next one.
// When it is full, what is new is refused; nothing is forgotten early.
class ReplayMemory {
 public:
  static constexpr std::int64_t kReorder_s = 2;
  static constexpr std::int64_t kRestart_s = 2;
  static constexpr std::size_t kContentsMax = 16;
  static constexpr std::size_t kCapacity = 1 << 20;

  // What a packet is, for this purpose.
  struct Packet {
    Hash128 node;          // key and address
    Hash128 content;       // what was signed: all but modifier2
    std::int64_t stamp_s = 0;
    bool subscribe = true;
  };
  enum class Finding : std::uint8_t {
    kNew,
    kDuplicate,   // of a live node's last subscribe: nothing is to be done, so
                  // its signature need not even fit
    kStale,       // more than kReorder_s older than the greatest stamp
    kReplayed,    // taken before
  };

  ReplayMemory(const Clock& clock, std::int64_t tolerance_s,
               std::size_t capacity = kCapacity);

  // What is remembered already is kept for as long as the new one says.
  void set_tolerance(std::int64_t tolerance_s) {
    kept_ms_ = (2 * tolerance_s + 1) * 1000;
  }

  // A content that came as an unsubscribe is kNew as a subscribe while its
  // stamp is within kRestart_s of now: an unsubscribe signs the next second,
  // and a vassal that is back within it signs the same bytes.
  [[nodiscard]] Finding look(const Packet& packet) const;
  // Whether record() has room for a kNew packet of `owner`'s (the fingerprint
  // of the key that speaks for the node).
  [[nodiscard]] bool has_room(const Packet& packet, const Hash128& owner);
  // The packet was kNew, there is room, its signature fits, and all else
  // accepted it.
  void record(const Packet& packet, const Hash128& owner);
  // It expired: a duplicate of its last subscribe is a replay from now on.
  void on_node_left(const Hash128& node);

  // Its last accepted packet was a subscribe, and it has not left since.
  [[nodiscard]] bool is_live(const Hash128& node) const;

  [[nodiscard]] std::size_t node_count() const { return nodes_.size(); }
  [[nodiscard]] std::size_t content_count() const { return contents_; }

 private:
  struct Seen {
    Hash128 content;
    std::int64_t stamp_s;
    bool subscribed;             // false: as an unsubscribe only
  };
  struct Node {
    Hash128 id;
    Hash128 owner;               // whose share it counts into
    std::int64_t greatest_s = 0;
    std::int64_t recorded_ms = 0;
    Hash128 last_subscribe;
    bool live = false;
    std::vector<Seen> seen;      // within kReorder_s of the greatest
  };
  using Nodes = std::list<Node>;
  using Index = std::unordered_map<Hash128, Nodes::iterator, Hash128::Hasher>;

  [[nodiscard]] static Seen* find(Node& node, const Hash128& content);
  [[nodiscard]] static std::size_t outlive(const Node& node,
                                           std::int64_t greatest_s);
  Node& touch(const Packet& packet, const Hash128& owner);
  void prune(Node& node);
  void forget_old();
  void count_in(const Hash128& owner);
  void count_out(const Hash128& owner, std::size_t contents);

  const Clock& clock_;
  std::int64_t kept_ms_;
  std::size_t capacity_;
  Nodes nodes_;                  // the longest silent first
  Index index_;
  std::unordered_map<Hash128, std::size_t, Hash128::Hasher> shares_;
  std::size_t contents_ = 0;
};

}  // namespace fealty::subscription
