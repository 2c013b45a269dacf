// KernelInterfaces::tell_neighbours(): gratuitous ARP and unsolicited neighbour advertisements.

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/fd.h"
#include "legion/netlink.h"

namespace fealty::legion {
namespace {

constexpr std::size_t kMacBytes = 6;
using Mac = std::array<std::uint8_t, kMacBytes>;

Error failed(const FloatingAddress& address, int code) {
  return Error{"cannot tell the neighbours of " + address.to_string() + ": " +
               std::strerror(code)};
}

// An Ethernet interface's; false for others, which have no such neighbours.
bool find_mac(const std::string& interface, Mac& out) {
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, interface.c_str(), IFNAMSIZ - 1);
  if (!fd.valid() || ::ioctl(fd.get(), SIOCGIFHWADDR, &request) != 0 ||
      request.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
    return false;
  }
  std::memcpy(out.data(), request.ifr_hwaddr.sa_data, out.size());
  return true;
}

// RFC 826, and RFC 5944 section 4.6 for the two forms.
struct [[gnu::packed]] Arp {
  std::uint16_t hardware = htons(ARPHRD_ETHER);
  std::uint16_t protocol = htons(ETHERTYPE_IP);
  std::uint8_t hardware_bytes = kMacBytes;
  std::uint8_t protocol_bytes = 4;
  std::uint16_t operation = 0;
  Mac sender_mac{};
  std::array<std::uint8_t, 4> sender{};
  Mac target_mac{};
  std::array<std::uint8_t, 4> target{};
};
static_assert(sizeof(Arp) == 28);

Status send_arp(const FloatingAddress& address, unsigned index,
                const Mac& mac) {
  const UniqueFd fd(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return failed(address, errno);
  sockaddr_ll everybody{};
  everybody.sll_family = AF_PACKET;
  everybody.sll_protocol = htons(ETH_P_ARP);
  everybody.sll_ifindex = static_cast<int>(index);
  everybody.sll_halen = kMacBytes;
  std::memset(everybody.sll_addr, 0xFF, kMacBytes);
  for (const std::uint16_t operation :
       {std::uint16_t{ARPOP_REQUEST}, std::uint16_t{ARPOP_REPLY}}) {
    Arp arp;
    arp.operation = htons(operation);
    arp.sender_mac = mac;
    if (operation == ARPOP_REPLY) arp.target_mac = mac;
    std::memcpy(arp.sender.data(), address.bytes.data(), 4);
    arp.target = arp.sender;
    if (::sendto(fd.get(), &arp, sizeof arp, 0,
                 reinterpret_cast<sockaddr*>(&everybody),
                 sizeof everybody) < 0) {
      return failed(address, errno);
    }
  }
  return Ok{};
}

// RFC 4861, section 4.4.
struct [[gnu::packed]] Advertisement {
  nd_neighbor_advert head{};
  std::uint8_t option = ND_OPT_TARGET_LINKADDR;
  std::uint8_t option_words = 1;
  Mac mac{};
};
static_assert(sizeof(Advertisement) == 32);

Status send_advertisement(const FloatingAddress& address, unsigned index,
                          const Mac& mac) {
  const UniqueFd fd(
      ::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6));
  if (!fd.valid()) return failed(address, errno);
  const int hops = 255;
  ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops);
  sockaddr_in6 own{};
  own.sin6_family = AF_INET6;
  std::memcpy(&own.sin6_addr, address.bytes.data(), 16);
  own.sin6_scope_id = index;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&own), sizeof own) != 0) {
    return failed(address, errno);
  }
  Advertisement packet;
  packet.head.nd_na_type = ND_NEIGHBOR_ADVERT;
  packet.head.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE;
  std::memcpy(&packet.head.nd_na_target, address.bytes.data(), 16);
  packet.mac = mac;
  sockaddr_in6 everybody{};
  everybody.sin6_family = AF_INET6;
  everybody.sin6_addr.s6_addr[0] = 0xFF;   // ff02::1
  everybody.sin6_addr.s6_addr[1] = 0x02;
  everybody.sin6_addr.s6_addr[15] = 0x01;
  everybody.sin6_scope_id = index;
  if (::sendto(fd.get(), &packet, sizeof packet, 0,
               reinterpret_cast<sockaddr*>(&everybody), sizeof everybody) < 0) {
    return failed(address, errno);
  }
  return Ok{};
}

}  // namespace

Status KernelInterfaces::tell_neighbours(const FloatingAddress& address) {
  const unsigned index = ::if_nametoindex(address.interface.c_str());
  if (index == 0) return failed(address, ENODEV);
  Mac mac;
  if (!find_mac(address.interface, mac)) return Ok{};
  return address.family == AF_INET ? send_arp(address, index, mac)
                                   : send_advertisement(address, index, mac);
}

}  // namespace fealty::legion
