#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/address.h"
#include "base/ref.h"
#include "subscription/announcement.h"
#include "subscription/verify.h"

namespace fealty::subscription {

inline constexpr auto kRelaxed = std::memory_order_relaxed;

struct PoolRecord;

// What of a node changes with every request and is shared by all threads:
// relaxed atomics, 64 bytes. It outlives the snapshots: a node that was removed
// drains here. Behind it stands who the node is, which never changes. Only
// NodeRecord::make() makes one; whoever holds its pool, or a NodeRef, keeps it.
class NodeRuntime {
 public:
  std::atomic<std::int64_t> rest_until_ms{0};   // monotonic; 0: not resting
  // Since when it takes requests (again); slow start counts from here.
  std::atomic<std::int64_t> eligible_since_ms{0};
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> sent_bytes{0};     // to the node
  std::atomic<std::uint64_t> received_bytes{0}; // from the node
  std::atomic<std::uint32_t> in_flight{0};      // requests being answered
  std::atomic<std::uint32_t> connect_failures{0};
  std::atomic<std::uint32_t> timeouts{0};
  std::atomic<std::uint32_t> early_closes{0};

  // A node that could not be reached, did not take a connection or did not
  // answer in time, or closed kEarlyClosesForRest connections in a row before it
  // answered, rests: 0.5 s, doubled with each failure in a row, up to 30 s. (One
  // request that its application cannot stand says little about the others:
  // uWSGI closes without a word where a WSGI application raises an exception.)
  // Requests that set out together and fail together count as one failure: those
  // that come in while it rests already are only counted. Any thread. True: its
  // first rest begins, which is worth a line in the log.
  static constexpr std::uint8_t kEarlyClosesForRest = 3;
  bool on_connect_failure(std::int64_t now_ms) {
    return fail(connect_failures, now_ms);
  }
  bool on_timeout(std::int64_t now_ms) { return fail(timeouts, now_ms); }
  bool on_early_close(std::int64_t now_ms);
  // It answered: eligible at once. (With slow start its share grows from the
  // moment at which its rest would have ended.) True: it had failed, and is back.
  bool on_success() {
    const bool failed = failures_in_a_row() != 0 || rest_until() != 0;
    if (early_in_a_row_.load(std::memory_order_relaxed) != 0) {
      early_in_a_row_.store(0, std::memory_order_relaxed);
    }
    return failed && end_rest();
  }
  // It announced itself: eligible at once, and its share grows from now. True as
  // of on_success().
  bool on_announced(std::int64_t now_ms) {
    if (failures_in_a_row() == 0 && rest_until() == 0) return false;
    eligible_since_ms.store(now_ms, std::memory_order_relaxed);
    return end_rest();
  }
  // What an active check found. A node is healthy until one says otherwise;
  // only the next check, or a new node at the address, changes it back.
  void set_checked(bool healthy) {
    unhealthy_.store(!healthy, std::memory_order_relaxed);
  }

  [[nodiscard]] bool healthy() const {
    return !unhealthy_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] bool resting(std::int64_t now_ms) const {
    const std::int64_t until = rest_until();
    return until != 0 && now_ms < until;
  }
  // Takes requests, as far as is known.
  [[nodiscard]] bool available(std::int64_t now_ms) const {
    return healthy() && !resting(now_ms);
  }
  [[nodiscard]] std::uint32_t failures_in_a_row() const {
    return failures_.load(std::memory_order_relaxed);
  }
  // Of every kind, ever.
  [[nodiscard]] std::uint64_t failed() const;

  // As announced; views the node.
  [[nodiscard]] std::string_view name() const;
  // The Emperor's name for an on-demand vassal, "" for any other node.
  [[nodiscard]] std::string_view vassal() const;
  // Of no family for a sleeping node that has no address yet.
  [[nodiscard]] Address address() const;

  void acquire() const { refs_.add(); }
  void release() const;
  // The caller's reference is the only one.
  [[nodiscard]] bool unique() const { return refs_.unique(); }
  NodeRuntime(const NodeRuntime&) = delete;
  NodeRuntime& operator=(const NodeRuntime&) = delete;

 protected:
  NodeRuntime() = default;
  ~NodeRuntime() = default;

 private:
  [[nodiscard]] std::int64_t rest_until() const {
    return rest_until_ms.load(std::memory_order_relaxed);
  }
  bool fail(std::atomic<std::uint32_t>& counter, std::int64_t now_ms);
  bool rest(std::int64_t now_ms);
  bool end_rest();

  RefCount refs_;
  std::atomic<std::uint16_t> failures_{0};      // in a row; success clears
  std::atomic<bool> unhealthy_{false};
  std::atomic<std::uint8_t> early_in_a_row_{0};  // early closes, up to the bound
};
static_assert(sizeof(NodeRuntime) == 64);

// A node as the control thread knows it: what only announcements change and
// only the table and stats read. One allocation with its runtime in front and,
// behind it, the bytes of its address, its name (unless that is the path in
// the address) and its vassal's name. Control thread only but for the base.
struct NodeRecord final : NodeRuntime {
  // With one reference, which the caller owns. Bounds: kAddressBytesMax for
  // each text.
  [[nodiscard]] static Ref<NodeRecord> make(std::string_view name,
                                            const Address& address,
                                            std::string_view vassal = {});

  [[nodiscard]] std::optional<Credentials> sender() const;
  void set_sender(const std::optional<Credentials>& sender);
  // The sockaddr's bytes: equal for equal addresses.
  [[nodiscard]] std::string_view address_bytes() const {
    return {identity(), address_bytes_};
  }

  // Begins to fetch what a refresh reads and writes.
  void prefetch() const {
    for (std::size_t at = 0; at < sizeof *this + kPrefetchedIdentity; at += 64) {
      __builtin_prefetch(reinterpret_cast<const char*>(this) + at);
    }
  }

  PoolRecord* pool = nullptr;            // the table's; outlives the node there
  NodeRecord* next = nullptr;            // in its pool, in order of arrival
  NodeRecord* older = nullptr;           // by when they were last heard
  NodeRecord* newer = nullptr;
  std::int64_t last_seen_ms = 0;         // monotonic
  std::uint32_t last_seen_unix_s = 0;
  std::uint32_t requests_when_seen = 0;  // the low half of `requests` then
  std::uint32_t cores = 0;
  std::uint32_t load = 0;
  std::uint32_t backup = 0;
  std::uint32_t weight = 1;
  std::uint8_t modifier1 = 0;
  std::uint8_t modifier2 = 0;
  Protocol protocol = Protocol::kUwsgi;
  bool sleeping : 1 = false;             // an on-demand vassal that is not up
  bool on_demand : 1 = false;            // sleeps again when it goes
  bool permanent : 1 = false;            // from the configuration: never expires
  bool drained : 1 = false;              // an operator wants no request to it
  bool announced : 1 = false;            // though it is permanent
  bool demands_client : 1 = false;       // a certificate of each client
  bool handed_over : 1 = false;          // by a predecessor, not heard since

 private:
  friend class NodeRuntime;
  NodeRecord() = default;
  ~NodeRecord() = default;
  void destroy() const;
  [[nodiscard]] const char* identity() const {
    return reinterpret_cast<const char*>(this + 1);
  }

  static constexpr std::size_t kPrefetchedIdentity = 32;   // of its address

  bool has_sender_ : 1 = false;
  std::uint8_t address_bytes_ = 0;
  std::uint8_t name_bytes_ = 0;
  std::uint8_t vassal_bytes_ = 0;
  bool name_is_path_ = false;
  pid_t pid_ = 0;
  uid_t uid_ = 0;
  gid_t gid_ = 0;

 public:
  // As announced. Stands where there would be padding.
  std::uint32_t material = 0;
};
static_assert(sizeof(NodeRecord) == 152);

// A node in a pool: how requests are routed to it. A plain value; its pool
// keeps the runtime alive.
struct Node {
  NodeRuntime* runtime = nullptr;
  std::uint32_t weight = 1;
  std::uint8_t modifier1 = 0;
  std::uint8_t modifier2 = 0;
  Protocol protocol = Protocol::kUwsgi;
  // The rank of its backup level among those of its pool, from 0.
  std::uint8_t level = 0;

  [[nodiscard]] std::string_view name() const { return runtime->name(); }
  [[nodiscard]] Address address() const { return runtime->address(); }
};
static_assert(sizeof(Node) == 16);

// What a cookie names a node by: the same in every router and after every
// restart; never 0.
[[nodiscard]] std::uint64_t sticky_token(std::string_view name);
[[nodiscard]] inline std::uint64_t sticky_token(const Node& node) {
  return sticky_token(node.name());
}

}  // namespace fealty::subscription
