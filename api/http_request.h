#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/answer.h"
#include "api/request.h"
#include "base/address.h"
#include "base/result.h"
#include "http/request_head.h"

namespace fealty::api {

inline constexpr std::size_t kPathBytesMax = 1024;
inline constexpr std::size_t kQueryKeysMax = 64;

// What is to be known of the connection that a head came by.
struct Peer {
  Entrance entrance = Entrance::kPublic;
  Address address;                  // the peer's; a Unix one is the router's
  bool trusted = false;             // its word on the client counts
};

// The request that a head asks for, its body not yet there; or what it is refused
// with. What the router says of the client is taken from trusted peers only.
// Throws nothing.
[[nodiscard]] Result<Request, Answer> read_request(const http::RequestHead& head,
                                                   const Peer& peer);

// The host of an authority, in lower case and without its port; "" for none.
[[nodiscard]] std::string host_of(std::string_view authority);

// What a client is counted by: its address, of IPv6 the /64, which one subscriber
// has for himself.
[[nodiscard]] std::string network_of(const std::string& address);

// The answer as HTTP/1.1 writes it; the connection ends after it.
[[nodiscard]] std::string encode_answer(const Answer& answer, bool to_head);

}  // namespace fealty::api
