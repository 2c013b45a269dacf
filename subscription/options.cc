#include "subscription/options.h"

#include "base/check.h"

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

}  // namespace fealty::subscription
