#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/result.h"
#include "subscription/announcement.h"
#include "subscription/census.h"
#include "subscription/materials.h"
#include "subscription/options.h"
#include "subscription/refusals.h"
#include "subscription/resubscribe.h"
#include "subscription/saved_node.h"
#include "subscription/snapshot.h"
#include "subscription/table.h"
#include "subscription/verify.h"

namespace fealty::subscription {

// The subscription server: reads datagrams in bounded batches (recvmmsg),
// decodes, verifies, applies, and hands out snapshots. Control thread only.
//
// Timers: expiry at least once a second; changes are gathered for kCoalesce_ms
// and then published as one snapshot. The acknowledgement of a new node goes
// out when the caller says that the snapshot that holds it is in use
// (on_adopted), so that whoever waits for it is served from then on. What
// accepted announcements say of certificates goes to Hooks::materials, and each
// change of it makes a new snapshot, whose pools say what is demanded of clients:
// whoever publishes both together never shows one without the other.
//
// Bounds: kBatch * kBatchesPerTurn datagrams a socket and turn of the loop;
// kAcksMax acknowledgements that wait; kChangeLinesMax log lines a second for
// nodes that come and go, one a second and reason for refused packets.
//
class Server {
 public:
  using Publish = std::function<void(std::shared_ptr<const Snapshot>)>;

  // What leaves this room besides snapshots; both are called on this thread and
  // must not call back.
  struct Hooks {
    // Only with options.serves_sni, or allow_sni_paths, does an
    // announcement's material count at all.
    Materials::Hooks materials;
    // The last node of `key` left, and its pool was held for long enough.
    Table::OnPoolGone on_pool_gone;
  };

  Server(Loop& loop, const Clock& clock, Options options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Before start(), or where a reload wants others.
  void set_hooks(Hooks hooks);

  // What prepare() made ready: options and their sockets.
  class Plan;
  // Binds the sockets of `options` that are not bound already; changes nothing
  // else, and nothing at all where it fails. A stale socket file is replaced, a
  // live one or another kind of file is an error. `own_sockets` are where this
  // router listens besides: no node may be there, announced or of the
  // configuration's. (Nothing of TCP leads to its UDP sockets.) The first time
  // before privileges are dropped.
  [[nodiscard]] Result<Plan> prepare(Options options,
                                     std::vector<Address> own_sockets) const;
  // The plan's options count from now on. Nodes that were announced stay, with
  // all that is known of them; those of the configuration come and go; sockets
  // that are not wanted any more are closed once what waits in them was read.
  void adopt(Plan plan);
  // Both, for the options as they are.
  [[nodiscard]] Status bind(std::vector<Address> own_sockets = {});
  // A successor takes over, once this one has stopped: the sockets, by address
  // as configured, whose files are its own then; and table().save().
  [[nodiscard]] std::vector<std::pair<Address, int>> sockets() const;
  void leave_sockets();
  // The same of its side: sockets before the first prepare(), which takes them
  // where they are wanted; nodes once the options are in use.
  void inherit(const Address& address, UniqueFd socket);
  void restore(const std::vector<SavedNode>& nodes);

  // The certificates of all announcements are read again, at the next of each.
  void read_materials_again() { materials_.read_again(); }
  // Starts to read; `publish` is called on this thread, and at once where
  // there are nodes already. Without one the table is kept, but nothing is
  // handed out and nothing acknowledged.
  void start(Publish publish);
  // Reads no more and keeps what it knows; start() may follow.
  void stop();

  // Every worker routes by snapshot `version` (or a later one) now.
  void on_adopted(std::uint64_t version);

  // An operator's word (table.h); a change is published like any other.
  [[nodiscard]] Table::Drain set_drained(std::string_view key,
                                         std::string_view node, bool drained);

  [[nodiscard]] const Table& table() const { return table_; }
  [[nodiscard]] const NodeCensus& census() const { return census_; }
  [[nodiscard]] const Materials& materials() const { return materials_; }
  [[nodiscard]] const Refusals& refusals() const { return refusals_; }
  [[nodiscard]] const Resubscriber& resubscriber() const {
    return resubscriber_;
  }
  [[nodiscard]] const Options& options() const { return options_; }

  struct Counters {
    std::uint64_t packets = 0;
    std::uint64_t accepted = 0;
    // Passed on by this router before, and now here again.
    std::uint64_t came_back = 0;
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }

  static constexpr std::int64_t kCoalesce_ms = 2;
  static constexpr int kBatch = 32;             // datagrams a call
  static constexpr int kBatchesPerTurn = 8;     // then other work gets its turn
  static constexpr std::size_t kDatagramBytesMax = 65'507;
  static constexpr std::size_t kAcksMax = 65'536;
  static constexpr unsigned kChangeLinesMax = 200;

 private:
  class Socket;
  using Sockets = std::vector<std::shared_ptr<Socket>>;
  struct Batch;
  struct PendingAck {
    std::uint64_t version;
    std::string notify;
    std::string text;
  };

  [[nodiscard]] Result<std::shared_ptr<Socket>> socket_for(
      const ServerSocket& wanted) const;
  void adopt_sockets(Sockets sockets);
  void adopt_static_nodes(const std::vector<StaticNode>& before);
  void start_expiry();
  // One turn of `socket`; false where nothing was there.
  bool read_batch(Socket& socket);
  // False where more may be waiting than a turn may read.
  [[nodiscard]] bool read_socket(Socket& socket);
  [[nodiscard]] bool may_expire();
  void on_datagram(Result<Announcement, Rejection>& announcement,
                   const Origin& origin);
  // Everything between the bytes and the table.
  [[nodiscard]] Result<Change, Rejection> take(Announcement& announcement,
                                               const Origin& origin);
  [[nodiscard]] bool may_be_found(std::string_view key) const;
  void on_change(Change change, const Announcement& announcement,
                 const std::optional<Credentials>& sender);
  void pass_on(const Announcement& announcement,
               const Verifier::Accepted& accepted);
  bool take_material(const Announcement& announcement,
                     const Verifier::Accepted& accepted);
  void on_pool_gone(std::string_view key);
  void reject(Rejection reason, std::string_view packet_key,
              const Origin& origin);
  void schedule_publish();
  void queue_ack(const Announcement& announcement, const char* what);
  void send_ack(const PendingAck& ack);
  [[nodiscard]] bool may_log_change();
  void on_expiry();
  void on_publish();

  Loop& loop_;
  const Clock& clock_;
  Options options_;                             // the parts refer to it
  Verifier verifier_;
  Table table_;
  NodeCensus census_;
  Materials materials_;
  Resubscriber resubscriber_;
  Table::OnPoolGone pool_gone_;
  Publish publish_;
  std::unique_ptr<Batch> batch_;                // one for all sockets
  Sockets sockets_;
  bool reads_ = false;
  TimerWatcher expiry_timer_;
  TimerWatcher publish_timer_;
  std::vector<PendingAck> acks_;                // by rising version
  Counters counters_;
  Refusals refusals_;
  std::int64_t expiry_interval_ms_ = 0;
  std::int64_t expiry_turns_held_ = 0;
  std::vector<log::Limiter> reject_log_;        // one a reason
  log::LineBudget change_log_{kChangeLinesMax - 1};
};

class Server::Plan {
 private:
  friend class Server;
  Options options_;
  std::vector<Address> own_sockets_;
  Sockets sockets_;
  Resubscriber::Targets targets_;
};

}  // namespace fealty::subscription
