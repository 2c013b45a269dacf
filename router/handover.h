#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "sni/export.h"
#include "subscription/saved_node.h"

namespace fealty::router {

// What a process leaves to the one that takes its place (SIGUSR2): open sockets,
// by number, and all that announcements and handshakes have made it know
// (base/successor.h). There are private keys in it.
//
// Records of a tag and a length, so that a successor of another version skips
// what it does not know:
//
//   handover = "fealty handover 1\n" record*
//   record   = tag:u8  bytes:u32  field*     field = bytes:u32 octet*
struct Handover {
  enum class Kind : std::uint8_t { kListener, kSubscription, kAdmin };
  struct Socket {
    Kind kind = Kind::kListener;
    std::string address;                 // as configured
    int inherited_fd = -1;               // or that number of the configuration's
    bool shared = false;
    std::vector<int> fds;
  };

  Handover() = default;
  Handover(Handover&&) = default;
  Handover& operator=(Handover&&) = default;
  ~Handover();

  std::vector<Socket> sockets;
  std::string ticket_keys;               // sni::TicketKeyRing::save()
  std::string sticky_secret;
  std::string cluster_key;               // of RequestSeal; "": none
  std::vector<sni::ExportedIdentity> identities;
  // The certificates of listeners, by the path of each: `user` may not be able
  // to read them again.
  std::vector<sni::ExportedIdentity> defaults;
  std::vector<subscription::SavedNode> nodes;  // the longest silent first

  [[nodiscard]] std::string encode() const;
  // Whole, or nothing and why.
  [[nodiscard]] static Result<Handover> decode(std::string_view bytes);
};

}  // namespace fealty::router
