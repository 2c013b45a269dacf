#pragma once

#include <cstdint>

#include "base/result.h"
#include "legion/floating_address.h"

namespace fealty::legion {

// Addresses of this host's interfaces: what an AddressKeeper asks of the kernel
// (legion/netlink.h), and tests of nobody. Any thread, one call at a time; each may
// wait, so never on the loop.
class Interfaces {
 public:
  virtual ~Interfaces() = default;
  // Adds the address, or renews it where it is there; it goes away by itself after
  // `valid_s` seconds. True: it was not there before.
  [[nodiscard]] virtual Result<bool> add(const FloatingAddress& address,
                                         std::uint32_t valid_s) = 0;
  // Fine where it is not there.
  [[nodiscard]] virtual Status remove(const FloatingAddress& address) = 0;
  // For how many seconds it is there if nobody renews it; 0: it is not there.
  // kForever: ours never are, so somebody else made it.
  static constexpr std::uint32_t kForever = 0xffff'ffff;
  [[nodiscard]] virtual std::uint32_t lifetime_s(const FloatingAddress& address) = 0;
  // Says to all neighbours that the address is here.
  [[nodiscard]] virtual Status tell_neighbours(
      const FloatingAddress& address) = 0;
};

}  // namespace fealty::legion
