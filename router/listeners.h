#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "router/identities.h"
#include "router/listener.h"
#include "router/options.h"

namespace fealty::router {

// The listening sockets of the configuration, and of the next one: a reload
// keeps those whose address stays, with what is in their queues, binds the new
// ones, and lets go of the others, as the workers do behind what is in
// their queues. Control thread only.
//
//   prepare()  binds what is new and reads certificates; changes nothing
//   adopt()    makes that the current set; cannot fail
class Listeners {
 public:
  struct Open {
    ListenerOptions options;
    BoundSocketPtr bound;
    ListenerPtr listener;
  };
  using Set = std::vector<Open>;

  explicit Listeners(unsigned workers) : workers_(workers) {}

  [[nodiscard]] Result<Set> prepare(const std::vector<ListenerOptions>& wanted,
                                    Identities& identities,
                                    const Identities::Loaded& loaded) const;
  void adopt(Set set);

  // Sockets of the process before this one, before the first prepare(), which
  // takes them where they are wanted.
  void inherit(const Address& address, int inherited_fd, bool shared,
               std::vector<UniqueFd> fds);
  // The files of Unix sockets are the successor's.
  void leave_files() const;

  [[nodiscard]] unsigned workers() const { return workers_; }
  [[nodiscard]] const Set& all() const { return set_; }
  [[nodiscard]] std::vector<WorkerListener> of_worker(unsigned worker) const;
  // The first TCP port that speaks HTTPS: where plain HTTP is redirected to.
  [[nodiscard]] std::string https_port() const;
  [[nodiscard]] std::vector<Identities::Default> defaults() const;
  // One for HTTPS lets nobody in without a certificate, by its default.
  [[nodiscard]] bool a_default_demands() const;

 private:
  [[nodiscard]] const Open* current(const ListenerOptions& wanted) const;
  [[nodiscard]] bool holds_port(const Address& address) const;
  [[nodiscard]] Result<BoundSocketPtr> bind(const ListenerOptions& options) const;
  [[nodiscard]] Result<BoundSocketPtr> bind_each(
      const ListenerOptions& options) const;

  unsigned workers_;
  Set set_;
};

}  // namespace fealty::router
