#pragma once

#include <cstdint>
#include <string_view>

namespace fealty::subscription {

// What a key's announcements demand of clients: one node that demands a
// certificate (`sni_ca` begins with `!`) does so for all of its key, for as long
// as it is live. It is part of the pool, and so comes and goes with the route
// itself, whatever became of the certificates.
enum class ClientRule : std::uint8_t {
  kNone,
  kDemands,    // and clients can be judged: the identity of the key's name says
               // by which CA
  kUnusable,   // a certificate is demanded, and nobody can judge one: the
               // certificate or the client CA cannot be used, or nobody here
               // speaks TLS. Nobody gets in.
};

[[nodiscard]] constexpr std::string_view to_string(ClientRule rule) {
  switch (rule) {
    case ClientRule::kNone: return "none";
    case ClientRule::kDemands: return "demands";
    case ClientRule::kUnusable: return "unusable";
  }
  return "unknown";
}

}  // namespace fealty::subscription
