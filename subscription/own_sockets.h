#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/address.h"
#include "base/clock.h"

namespace fealty::subscription {

// Linux connects "any address" to the loopback, and uWSGI announces ":3031" for
// a socket that is bound to it: it is judged as where it leads to.
[[nodiscard]] Address as_connected(const Address& address);

// Of a numeric host as Address::host() writes it.
[[nodiscard]] bool is_loopback(std::string_view host);

// The sockets that this router listens on: a node there would be the router
// itself, whose admin pages a customer must not reach and whose listeners would
// make a circle that eats every descriptor. Control thread only.
//
// TCP: the address is compared as what it leads to. What is bound to the
// wildcard is reached by every address of this host with its port; those of the
// interfaces are read anew at most once a second, and only when a port is the
// same. Unix: by the name, and by the socket's file wherever a link or a mount
// shows it: one stat() an address, none where no own socket has a file.
//
// Cost otherwise: one comparison of ports an own socket.
class OwnSockets {
 public:
  explicit OwnSockets(const Clock& clock) : clock_(clock) {}

  // Forgets those that were added.
  void clear() {
    tcp_.clear();
    paths_.clear();
    files_.clear();
  }
  // As it is bound, with its port, and its file there.
  void add(const Address& address);
  [[nodiscard]] bool holds(const Address& address);

 private:
  struct Tcp {
    std::string host;
    std::uint16_t port;
  };
  struct File {
    dev_t device;
    ino_t inode;
  };

  [[nodiscard]] bool holds_unix(const std::string& path) const;
  [[nodiscard]] bool is_reached(const Tcp& own, const std::string& host);
  [[nodiscard]] bool is_of_this_host(const std::string& host);
  void read_interfaces();

  const Clock& clock_;
  std::vector<Tcp> tcp_;
  std::vector<std::string> paths_;       // and "@names"
  std::vector<File> files_;
  std::unordered_set<std::string> interfaces_;
  std::int64_t read_ms_ = 0;
  bool is_read_ = false;
};

}  // namespace fealty::subscription
