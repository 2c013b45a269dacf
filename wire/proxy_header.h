#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/address.h"

namespace fealty::wire {

// The PROXY protocol's header, versions 1 and 2 (haproxy.org, proxy-protocol.txt),
// with which a load balancer begins a connection that it passes on:
//
//   v1 = "PROXY " ("TCP4" / "TCP6") SP source SP destination SP port SP port CRLF
//      / "PROXY UNKNOWN" *octet CRLF                       at most 107 bytes
//   v2 = 0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A  version-command:u8  family:u8
//        data_bytes:u16be  addresses  extension*
//
// Extensions are skipped. Bounded: kProxyHeaderBytesMax. Pure; any thread.
inline constexpr std::size_t kProxyHeaderV1BytesMax = 107;
inline constexpr std::size_t kProxyHeaderBytesMax = 4096;

struct ProxyHeader {
  enum class State : std::uint8_t {
    kMore,      // so far it is one; every byte that was given belongs to it
    kWhole,
    kBad,       // it is none, or one that says nothing true
  };
  State state = State::kBad;
  std::size_t bytes = 0;   // kWhole: how long it is
  // Who connected to the load balancer; of no family where the header speaks of
  // the balancer's own connection (a health check), or of an unknown protocol.
  Address source{};
};

// What the connection's first bytes are; more of them may follow.
[[nodiscard]] ProxyHeader parse_proxy_header(std::string_view bytes);

}  // namespace fealty::wire
