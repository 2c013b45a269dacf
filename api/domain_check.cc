#include "api/domain_check.h"

#include <libpsl.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/clock.h"

namespace fealty::api {
namespace {

constexpr std::size_t kNameBytesMax = 253;
constexpr std::size_t kLabelBytesMax = 63;
constexpr std::size_t kNameServersMax = 4;
constexpr std::size_t kAddressesMax = 8;

bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= kLabelBytesMax &&
         label.front() != '-' && label.back() != '-' &&
         label.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") ==
             label.npos;
}

// What a wildcard stands above.
std::string without_dot(const std::string& domain) {
  return domain.starts_with('.') ? domain.substr(1) : domain;
}

std::string parent_of(const std::string& name) {
  const std::size_t dot = name.find('.');
  return dot == std::string::npos ? "" : name.substr(dot + 1);
}

const std::vector<Network>& local_networks() {
  static const std::vector<Network> networks = [] {
    std::vector<Network> out;
    for (const char* text :
         {"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8",
          "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
          "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
          "203.0.113.0/24", "224.0.0.0/3", "2001::/23", "2001:db8::/32",
          "2002::/16"}) {
      out.push_back(*Network::parse(text));
    }
    return out;
  }();
  return networks;
}

}  // namespace

bool is_domain(std::string_view name) {
  if (name.starts_with('.')) name.remove_prefix(1);
  if (name.empty() || name.size() > kNameBytesMax) return false;
  bool has_dot = false;
  while (true) {
    const std::size_t dot = name.find('.');
    if (!is_label(name.substr(0, dot))) return false;
    if (dot == name.npos) break;
    has_dot = true;
    name.remove_prefix(dot + 1);
  }
  // A number at the end makes it an address, as 127.1 and 127.0.0.0x1 are.
  return has_dot && name.front() >= 'a' && name.front() <= 'z';
}

bool is_global(const Address& address) {
  static const Network global_v6 = *Network::parse("2000::/3");
  if (address.family() == AF_INET6 && address.host().find(':') != std::string::npos &&
      !global_v6.contains(address)) {
    return false;
  }
  const auto& local = local_networks();
  return address.is_ip() &&
         std::none_of(local.begin(), local.end(), [&](const Network& network) {
           return network.contains(address);
         });
}

struct DomainCheck::Suffixes {
  // The system's list; the library's own where there is none.
  psl_ctx_t* const list = psl_latest(nullptr);
  Suffixes() = default;
  ~Suffixes() { psl_free(list); }
  Suffixes(const Suffixes&) = delete;
  Suffixes& operator=(const Suffixes&) = delete;
};

DomainCheck::DomainCheck(const Resolver& resolver, const DnsOptions& options)
    : resolver_(resolver),
      options_(options),
      suffixes_(std::make_unique<Suffixes>()) {}

DomainCheck::~DomainCheck() = default;

bool DomainCheck::is_public_suffix(const std::string& name) const {
  return psl_is_public_suffix(suffixes_->list, without_dot(name).c_str()) != 0;
}

void DomainCheck::add_addresses(const std::string& host,
                                std::int64_t deadline_ms,
                                std::vector<Address>& out) const {
  for (const RecordType type : {RecordType::kA, RecordType::kAaaa}) {
    const auto found = resolver_.ask(host, type, {}, deadline_ms);
    if (!found) continue;
    for (const std::string& text : found.value()) {
      const std::string brackets =
          type == RecordType::kAaaa ? "[" + text + "]" : text;
      const auto address =
          Address::parse(brackets + ":" + std::to_string(options_.port));
      if (!address || out.size() >= kAddressesMax) continue;
      if (options_.allow_private || is_global(*address)) out.push_back(*address);
    }
  }
}

// Of the zone that `name` lies in: the nearest parent that has name servers.
std::vector<Address> DomainCheck::servers_of(const std::string& name,
                                             std::int64_t deadline_ms) const {
  std::vector<Address> servers;
  for (std::string zone = name; !zone.empty() && !is_public_suffix(zone);
       zone = parent_of(zone)) {
    const auto hosts = resolver_.ask(zone, RecordType::kNs, {}, deadline_ms);
    if (!hosts || hosts->empty()) continue;
    const std::size_t count = std::min(hosts->size(), kNameServersMax);
    for (std::size_t i = 0; i < count; ++i) {
      add_addresses((*hosts)[i], deadline_ms, servers);
    }
    break;
  }
  return servers;
}

Result<Ok, DomainCheck::Refusal> DomainCheck::check(
    const std::string& domain, const std::string& uuid) const {
  std::string name = without_dot(domain);
  if (is_public_suffix(name)) {
    return Refusal{"name: " + name + " is a public suffix; nobody holds it alone"};
  }
  const Turn turn(turns_);
  if (!turn) return Refusal{"too many ask", true};

  const std::int64_t deadline_ms = coarse_monotonic_ms() + options_.timeout_ms;
  const std::string wanted = "uwsgi:" + uuid;
  std::string problem;
  for (; !name.empty() && !is_public_suffix(name); name = parent_of(name)) {
    const std::vector<Address> servers = servers_of(name, deadline_ms);
    if (servers.empty()) {
      problem = "; no name server of " + name + " can be asked";
      continue;
    }
    const auto records =
        resolver_.ask(name, RecordType::kTxt, servers, deadline_ms);
    if (!records) {
      problem = "; " + name + ": " + records.error().message;
      continue;
    }
    const auto fits = [&](const std::string& text) {
      return text.size() == wanted.size() &&
             sodium_memcmp(text.data(), wanted.data(), wanted.size()) == 0;
    };
    if (std::any_of(records->begin(), records->end(), fits)) return Ok{};
  }
  return Refusal{"name: no TXT record " + wanted + " at " + without_dot(domain) +
                 " or a parent" + problem};
}

}  // namespace fealty::api
