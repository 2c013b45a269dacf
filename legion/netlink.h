#pragma once

#include "legion/interfaces.h"

namespace fealty::legion {

// The kernel's interfaces, by rtnetlink; each call makes a socket, asks and waits
// for the kernel's word (kWait_ms at most). Needs CAP_NET_ADMIN, and CAP_NET_RAW to
// tell the neighbours. A process that hangs, is stopped or killed does not hold an
// address longer than its lifetime. Duplicate address detection is left out: that
// another still has it is what failover is about.
class KernelInterfaces final : public Interfaces {
 public:
  static constexpr int kWait_ms = 2'000;

  [[nodiscard]] Result<bool> add(const FloatingAddress& address,
                                 std::uint32_t valid_s) override;
  [[nodiscard]] Status remove(const FloatingAddress& address) override;
  [[nodiscard]] std::uint32_t lifetime_s(const FloatingAddress& address) override;
  // Gratuitous ARP (as request and as reply, since some hosts only learn from one),
  // or an unsolicited neighbour advertisement with the override flag.
  [[nodiscard]] Status tell_neighbours(const FloatingAddress& address) override;
};

}  // namespace fealty::legion
