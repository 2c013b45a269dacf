#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/result.h"
#include "legion/forward_wire.h"
#include "legion/options.h"

namespace fealty::legion {

// Takes subscriptions from the local fastrouter to the other members of the
// Legion, sealed, and hands what they send to the local router: so each member's
// router knows the fastrouters of all (docs/legion.md, "The cluster").
//
//   fastrouter → listen → seal → `to`          `receive` → open → deliver → router
//
// Never blocks: what a socket does not take is counted and gone, the next
// announcement repeats it. The router's Unix socket holds a few datagrams only
// (net.unix.max_dgram_qlen): where it is full, one waits for kPatience_ms at most,
// and the others in the kernel's buffer of `receive`. Bounds: kPerTurn datagrams a
// turn and socket, and as many as are sent with kSendsPerTurn; those of
// ForwardOpener; a line of the log a second and reason. What a packet holds of
// private keys is wiped. On the loop's thread.
//
//   bind() → (privileges are dropped) → start()
class Forwarder {
 public:
  static constexpr int kPerTurn = 64;
  static constexpr int kSendsPerTurn = 256;
  static constexpr std::int64_t kPatience_ms = 100;

  // `before`: the one that this one is to follow, or null. Its sockets stay where
  // they are wanted again, and so does what is remembered where the secret is the
  // same.
  Forwarder(Loop& loop, const Clock& clock, ForwarderOptions options,
            const Forwarder* before);
  ~Forwarder();
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  // The sockets, or why not.
  [[nodiscard]] Status bind();
  // The one before must be gone.
  void start();

  [[nodiscard]] const ForwarderOptions& options() const { return options_; }
  struct Counters {
    std::uint64_t taken = 0;         // from the local router
    std::uint64_t sent = 0;          // datagrams to other members
    std::uint64_t send_errors = 0;   // that the kernel did not take
    std::uint64_t received = 0;      // datagrams that came in
    std::uint64_t delivered = 0;     // to the local router
    std::uint64_t undelivered = 0;   // that its socket did not take
    std::array<std::uint64_t, static_cast<std::size_t>(ForwardDrop::kCount)>
        drops{};
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }
  // Runs of other members' forwarders that were heard of late.
  [[nodiscard]] std::size_t senders() const;

 private:
  struct Socket;
  struct Keys;

  [[nodiscard]] Result<std::shared_ptr<Socket>> socket_for(
      const Address& address) const;
  [[nodiscard]] Status bind_listen();
  [[nodiscard]] Status open_unbound();
  [[nodiscard]] std::string senders_group() const;
  void resolve_users();
  void on_listen(int events);
  void on_receive(int events);
  struct Datagram {
    std::string_view bytes;              // in buffer_
    std::optional<uid_t> sender;         // where the kernel says it
    Address from;
  };
  // The next one; none: none waits.
  [[nodiscard]] std::optional<Datagram> read(const Socket& socket);
  void forward(const Datagram& datagram);
  void send_to_all(std::string_view sealed);
  void deliver(const Datagram& datagram);
  // To the local router. False: it has no room now.
  [[nodiscard]] bool hand_over(std::string_view packet);
  void on_retry();
  // `key`: the domain, where it is known.
  void drop(ForwardDrop reason, const Address& from, std::string_view key = "");
  void fail(std::uint64_t& counter, log::Limiter& limiter,
            std::string_view what, const Address& to);

  Loop& loop_;
  const Clock& clock_;
  ForwarderOptions options_;
  const Forwarder* before_;              // until bind() is done
  std::shared_ptr<Keys> keys_;
  std::shared_ptr<Socket> listen_;
  std::shared_ptr<Socket> receive_;
  std::shared_ptr<Socket> send_;
  std::shared_ptr<Socket> deliver_;
  std::vector<uid_t> users_;             // whose packets count
  IoWatcher listens_;
  IoWatcher receives_;
  TimerWatcher retry_;
  std::string waiting_;                  // for room in the router's socket
  std::int64_t waits_until_ms_ = 0;
  std::size_t first_to_ = 0;             // whose turn it is to be sent to first
  std::vector<char> buffer_;
  Counters counters_;
  std::array<log::Limiter, static_cast<std::size_t>(ForwardDrop::kCount)>
      drop_log_;
  log::Limiter send_log_;
  log::Limiter deliver_log_;
};

}  // namespace fealty::legion
