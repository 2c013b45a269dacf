#include "legion/netlink.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/fd.h"

namespace fealty::legion {
namespace {

constexpr std::size_t kRequestBytes = 256;

Error failed(std::string_view what, const FloatingAddress& address, int code) {
  std::string text = "cannot " + std::string(what) + " " + address.to_string() +
                     ": " + std::strerror(code);
  if (code == EPERM) text += " (CAP_NET_ADMIN and CAP_NET_RAW are needed)";
  return Error{std::move(text)};
}

// One rtnetlink request with its attributes.
class Request {
 public:
  Request(std::uint16_t type, std::uint16_t flags) {
    header()->nlmsg_len = NLMSG_LENGTH(sizeof(ifaddrmsg));
    header()->nlmsg_type = type;
    header()->nlmsg_flags = static_cast<std::uint16_t>(
        NLM_F_REQUEST | NLM_F_ACK | flags);
    header()->nlmsg_seq = 1;
  }
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(bytes_.data()); }
  ifaddrmsg* body() { return static_cast<ifaddrmsg*>(NLMSG_DATA(header())); }
  void add(std::uint16_t type, const void* value, std::size_t size) {
    auto* const at = reinterpret_cast<rtattr*>(
        bytes_.data() + NLMSG_ALIGN(header()->nlmsg_len));
    at->rta_type = type;
    at->rta_len = static_cast<std::uint16_t>(RTA_LENGTH(size));
    std::memcpy(RTA_DATA(at), value, size);
    header()->nlmsg_len = static_cast<std::uint32_t>(
        NLMSG_ALIGN(header()->nlmsg_len) + RTA_ALIGN(at->rta_len));
  }
  // 0, or the kernel's errno.
  [[nodiscard]] int perform() {
    const UniqueFd fd = ask();
    if (!fd.valid()) return errno;
    alignas(nlmsghdr) std::array<char, 4096> answer;
    const ssize_t got = ::recv(fd.get(), answer.data(), answer.size(), 0);
    if (got < 0) return errno;
    const auto* const head = reinterpret_cast<nlmsghdr*>(answer.data());
    if (got < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(nlmsgerr))) ||
        head->nlmsg_type != NLMSG_ERROR) {
      return EPROTO;
    }
    return -static_cast<const nlmsgerr*>(NLMSG_DATA(head))->error;
  }
  // Each of the addresses that a dump names.
  template <typename Look>
  void for_each(const Look& look) {
    const UniqueFd fd = ask();
    alignas(nlmsghdr) std::array<char, 32'768> answer;
    for (;;) {
      const ssize_t got =
          fd.valid() ? ::recv(fd.get(), answer.data(), answer.size(), 0) : -1;
      if (got <= 0) return;
      auto left = static_cast<unsigned>(got);
      for (auto* each = reinterpret_cast<nlmsghdr*>(answer.data());
           NLMSG_OK(each, left); each = NLMSG_NEXT(each, left)) {
        if (each->nlmsg_type != RTM_NEWADDR) return;   // the end, or an error
        look(each);
      }
    }
  }

 private:
  // The socket on which the answer comes; none where the kernel cannot be asked.
  [[nodiscard]] UniqueFd ask() {
    UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!fd.valid()) return fd;
    constexpr int kWait_ms = KernelInterfaces::kWait_ms;
    const timeval wait{kWait_ms / 1000, (kWait_ms % 1000) * 1000};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    if (::sendto(fd.get(), bytes_.data(), header()->nlmsg_len, 0,
                 reinterpret_cast<sockaddr*>(&kernel), sizeof kernel) < 0) {
      return UniqueFd();
    }
    return fd;
  }

  alignas(nlmsghdr) std::array<char, kRequestBytes> bytes_{};
};

// Fills what adding and deleting share; false where there is no such interface.
bool fill(Request& request, const FloatingAddress& address) {
  const unsigned index = ::if_nametoindex(address.interface.c_str());
  if (index == 0) return false;
  ifaddrmsg& body = *request.body();
  body.ifa_family = static_cast<std::uint8_t>(address.family);
  body.ifa_prefixlen = static_cast<std::uint8_t>(address.prefix_bits);
  body.ifa_index = index;
  request.add(IFA_LOCAL, address.bytes.data(), address.size());
  request.add(IFA_ADDRESS, address.bytes.data(), address.size());
  return true;
}

// 0, or the kernel's errno: EEXIST where it is there and `flags` do not replace it.
int add_with(std::uint16_t flags, const FloatingAddress& address,
             std::uint32_t valid_s) {
  Request request(RTM_NEWADDR, flags);
  if (!fill(request, address)) return ENODEV;
  ifa_cacheinfo lifetime{};
  // An IPv6 address that is not preferred is asked and answers, and is not what
  // this host's own connections come from.
  lifetime.ifa_prefered = address.family == AF_INET6 ? 0 : valid_s;
  lifetime.ifa_valid = valid_s;
  request.add(IFA_CACHEINFO, &lifetime, sizeof lifetime);
  if (address.family == AF_INET6) {
    const std::uint32_t no_detection = IFA_F_NODAD;
    request.add(IFA_FLAGS, &no_detection, sizeof no_detection);
  }
  return request.perform();
}

}  // namespace

Result<bool> KernelInterfaces::add(const FloatingAddress& address,
                                   std::uint32_t valid_s) {
  int code = add_with(NLM_F_CREATE | NLM_F_EXCL, address, valid_s);
  if (code == 0) return true;
  if (code == EEXIST) {
    code = add_with(NLM_F_CREATE | NLM_F_REPLACE, address, valid_s);
    if (code == 0) return false;
  }
  return failed("add", address, code);
}

Status KernelInterfaces::remove(const FloatingAddress& address) {
  Request request(RTM_DELADDR, 0);
  if (!fill(request, address)) return failed("remove", address, ENODEV);
  const int code = request.perform();
  if (code == 0 || code == EADDRNOTAVAIL || code == ENOENT) return Ok{};
  return failed("remove", address, code);
}

// With whatever prefix; where it is there with several, the longest.
std::uint32_t KernelInterfaces::lifetime_s(const FloatingAddress& address) {
  const unsigned index = ::if_nametoindex(address.interface.c_str());
  Request request(RTM_GETADDR, NLM_F_DUMP);
  request.body()->ifa_family = static_cast<std::uint8_t>(address.family);
  std::uint32_t longest_s = 0;
  request.for_each([&](nlmsghdr* each) {
    auto* const body = static_cast<ifaddrmsg*>(NLMSG_DATA(each));
    if (body->ifa_index != index) return;
    bool is_it = false;
    std::uint32_t valid_s = kForever;
    auto left = static_cast<unsigned>(IFA_PAYLOAD(each));
    for (auto* at = IFA_RTA(body); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
      // IFA_LOCAL where an IPv4 address has one; IPv6 has only the other.
      if (at->rta_type == (address.family == AF_INET ? IFA_LOCAL : IFA_ADDRESS) &&
          RTA_PAYLOAD(at) == address.size()) {
        is_it = std::memcmp(RTA_DATA(at), address.bytes.data(),
                            address.size()) == 0;
      } else if (at->rta_type == IFA_CACHEINFO &&
                 RTA_PAYLOAD(at) >= sizeof(ifa_cacheinfo)) {
        ifa_cacheinfo times;
        std::memcpy(&times, RTA_DATA(at), sizeof times);
        valid_s = times.ifa_valid;
      }
    }
    if (is_it) longest_s = std::max(longest_s, valid_s);
  });
  return longest_s;
}

}  // namespace fealty::legion
