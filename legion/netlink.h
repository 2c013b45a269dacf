#pragma once

#include <cstdint>

#include "base/result.h"
#include "legion/floating_address.h"

namespace fealty::legion {

// Addresses of this host's interfaces, by rtnetlink; each call makes a socket,
// asks and waits for the kernel's word (kWait_ms at most). Needs CAP_NET_ADMIN.
// Any thread but the loop's: the kernel may make it wait for its lock.

inline constexpr int kWait_ms = 2'000;

// Adds the address, or renews it where it is there; the kernel itself takes it
// away after `valid_s` seconds unless it is renewed. So a process that hangs, is
// stopped or killed does not hold it longer than it may. Duplicate address
// detection is left out: that another still has it is what failover is about.
[[nodiscard]] Status add_address(const FloatingAddress& address,
                                 std::uint32_t valid_s);
// Fine where it is not there.
[[nodiscard]] Status delete_address(const FloatingAddress& address);

// Tells the neighbours that the address is here: gratuitous ARP (as request and
// as reply, since some hosts only learn from one), or an unsolicited neighbour
// advertisement with the override flag. Needs CAP_NET_RAW.
[[nodiscard]] Status tell_neighbours(const FloatingAddress& address);

}  // namespace fealty::legion
