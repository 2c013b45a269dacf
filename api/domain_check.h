#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/options.h"
#include "api/resolver.h"
#include "api/turns.h"
#include "base/result.h"

namespace fealty::api {

// The form that a domain is kept in: lower case, 1 to 253 bytes of letters,
// digits, hyphens and dots, with a dot in front where it stands for all below it
// (docs/protocol/subscription.md). Unicode names come as xn--…
[[nodiscard]] bool is_domain(std::string_view name);

// Whether the address belongs to the internet at large: nothing private,
// shared, local, reserved, or a tunnel to such.
[[nodiscard]] bool is_global(const Address& address);

// Whether a customer holds a domain: it, or a parent of it below the public
// suffix, has the TXT record `uwsgi:UUID`, and nothing else in that record. Asked
// of the zone's own name servers, so that no cache says what was true before.
// Bounded in time (dns.timeout), questions, servers, and in how many run at a
// time. Thread-safe.
class DomainCheck {
 public:
  DomainCheck(const Resolver& resolver, const DnsOptions& options);
  ~DomainCheck();
  DomainCheck(const DomainCheck&) = delete;
  DomainCheck& operator=(const DomainCheck&) = delete;

  struct Refusal {
    std::string reason;
    bool busy = false;              // nobody was asked: too many ask
  };
  // Ok, or why not.
  [[nodiscard]] Result<Ok, Refusal> check(const std::string& domain,
                                          const std::string& uuid) const;
  [[nodiscard]] bool is_public_suffix(const std::string& name) const;

 private:
  struct Suffixes;
  [[nodiscard]] std::vector<Address> servers_of(const std::string& name,
                                                std::int64_t deadline_ms) const;
  void add_addresses(const std::string& host, std::int64_t deadline_ms,
                     std::vector<Address>& out) const;

  const Resolver& resolver_;
  const DnsOptions options_;
  std::unique_ptr<Suffixes> suffixes_;
  static constexpr std::size_t kAtATime = 8;
  mutable Turns turns_{kAtATime, 0};
};

}  // namespace fealty::api
