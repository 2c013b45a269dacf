#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/fd.h"
#include "base/socket_file.h"
#include "sni/context.h"

namespace fealty::router {

// What the connections of a listening socket have in common. Immutable: a reload
// makes another, and a connection keeps the one that it was accepted under.
struct Listener {
  std::string server_port{};       // "" of a Unix socket: the request says
  std::shared_ptr<const sni::Context> tls{};   // null: plain HTTP
  bool redirect_to_https = false;
  bool proxy_protocol = false;
  bool speaks_uwsgi = false;       // requests come as uwsgi packets
  bool sealed = false;             // and count with a RequestSeal only
  std::vector<Network> trusted{};
  // Its address, and all that a connection was accepted or refused by: where a
  // reload brings others, those of before end after the request they are at.
  std::string terms{};

  // Of a Unix socket, its file's mode says who connects.
  [[nodiscard]] bool trusts(const Address& peer) const {
    return !peer.is_ip() || (sealed && trusted.empty()) ||
           std::any_of(trusted.begin(), trusted.end(),
                       [&](const Network& network) {
                         return network.contains(peer);
                       });
  }
  [[nodiscard]] bool is_tls() const { return tls != nullptr; }
  [[nodiscard]] std::uint16_t default_port() const {
    return is_tls() ? kHttpsPort : kHttpPort;
  }
  static constexpr std::uint16_t kHttpPort = 80;
  static constexpr std::uint16_t kHttpsPort = 443;
};
using ListenerPtr = std::shared_ptr<const Listener>;

// A listening socket: open for as long as somebody holds it. A worker that lets
// go of its own closes it, at once: what came to its queue later would be reset.
using SocketPtr = std::shared_ptr<const UniqueFd>;

// A configured address, bound. TCP has a socket a worker (SO_REUSEPORT), and the
// kernel spreads the connections; a Unix or an inherited socket is one, which all
// workers accept from.
struct BoundSocket {
  Address address;                 // with its port
  std::vector<SocketPtr> fds;
  bool shared = false;             // fds has one, for all
  mutable SocketFile file;         // a successor may take it over
};
using BoundSocketPtr = std::shared_ptr<const BoundSocket>;

// One of its sockets, as a worker accepts from it.
struct WorkerListener {
  SocketPtr socket;
  ListenerPtr listener;
};

}  // namespace fealty::router
