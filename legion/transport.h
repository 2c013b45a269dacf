#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/fd.h"
#include "base/result.h"
#include "legion/options.h"

namespace fealty::legion {

// A Legion's UDP socket: IPv4, IPv6, or a multicast group of either, which it
// joins. Packets go out from the address that it is bound to, one to each node
// (to the group, if there is one). Never blocks; what the kernel does not take is
// counted and gone, the next announcement follows soon. One thread.
class Transport {
 public:
  // Datagrams taken a turn; the rest waits in the kernel.
  static constexpr int kPerTurn = 128;
  static constexpr std::size_t kDatagramBytesMax = 65'535;

  // `interface` is a group's; "" leaves it to the system.
  [[nodiscard]] Status bind(const Address& address,
                            const std::string& interface);
  void set_nodes(std::vector<Address> nodes) { nodes_ = std::move(nodes); }

  void send(std::string_view datagram);
  // Each datagram that waits, up to kPerTurn; `from` is where it came from.
  // True if there may be more.
  bool receive(const std::function<void(std::string_view datagram,
                                        const Address& from)>& each);

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const Address& bound() const { return bound_; }
  [[nodiscard]] bool is_multicast() const { return multicast_; }

  struct Counters {
    std::uint64_t sent = 0;
    std::uint64_t send_errors = 0;
    std::uint64_t received = 0;
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  [[nodiscard]] Status join(const Address& group, const std::string& interface);
  void send_to(std::string_view datagram, const Address& to);

  UniqueFd fd_;
  Address bound_;
  bool multicast_ = false;
  std::vector<Address> nodes_;
  std::vector<char> buffer_ = std::vector<char>(kDatagramBytesMax);
  Counters counters_;
};

}  // namespace fealty::legion
