#include "subscription/options.h"

#include <algorithm>

#include "base/check.h"
#include "subscription/key.h"

namespace fealty::subscription {

AllowAddresses default_allow_addresses() {
  AllowAddresses allow;
  for (const char* const text : {"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12",
                                 "192.168.0.0/16", "::1/128", "fc00::/7"}) {
    auto network = Network::parse(text);
    FEALTY_CHECK(network);
    allow.networks.push_back(*network);
  }
  allow.unix_prefixes = {"/", "@"};
  return allow;
}

Result<std::string> static_key(std::string_view key, unsigned mountpoints) {
  std::string normalised;
  if (!normalise_key(key, normalised)) {
    return Error{" is no key: a domain, .domain for all below it, "
                 "domain:port or domain/mountpoint"};
  }
  const auto levels = std::count(normalised.begin(), normalised.end(), '/');
  if (levels > static_cast<std::ptrdiff_t>(mountpoints)) {
    return Error{" has a mountpoint of more levels than mountpoints allows"};
  }
  return normalised;
}

}  // namespace fealty::subscription
