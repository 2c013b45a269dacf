#pragma once

#include <memory>
#include <string>

#include "sni/context.h"

namespace fealty::router {

// What the connections of a listening socket have in common. Immutable; the
// sessions point at their acceptor's.
struct Listener {
  std::string server_port;         // "" of a Unix socket: the request says
  std::shared_ptr<const sni::Context> tls;     // null: plain HTTP
  bool redirect_to_https = false;

  [[nodiscard]] bool is_tls() const { return tls != nullptr; }
  [[nodiscard]] std::uint16_t default_port() const {
    return is_tls() ? kHttpsPort : kHttpPort;
  }
  static constexpr std::uint16_t kHttpPort = 80;
  static constexpr std::uint16_t kHttpsPort = 443;
};

}  // namespace fealty::router
