#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/ref.h"
#include "sni/client_policy.h"
#include "sni/credential.h"
#include "sni/digest.h"
#include "sni/openssl.h"

namespace fealty::sni {

inline constexpr std::size_t kNameBytesMax = 255;

// What a name is served with: one credential for each kind of key, and what it
// wants of its clients. Immutable, one allocation with the name behind it; any
// thread. Whoever holds a reference keeps the keys alive.
class Identity {
 public:
  using Slots = std::array<CredentialRef, kKeyKinds>;
  struct Parts {
    std::string_view name;             // "example.com", ".example.com", or ""
                                       // for what is served to the nameless
    Slots slots;                       // at least one is there
    ClientPolicyRef policy;
  };
  [[nodiscard]] static Ref<const Identity> make(Parts parts);

  [[nodiscard]] std::string_view key() const {
    return {reinterpret_cast<const char*>(this + 1), name_bytes_};
  }
  [[nodiscard]] const Slots& slots() const { return slots_; }
  [[nodiscard]] const ClientPolicyRef& policy() const { return policy_; }
  [[nodiscard]] bool demands() const {
    return policy_ != nullptr && policy_->demands();
  }
  // When the first of its certificates expires, seconds since 1970.
  [[nodiscard]] std::int64_t not_after_s() const;

  // Whether all of its certificates are for this host, by their names.
  [[nodiscard]] bool names(const std::string& host) const;

  // What sessions made under this identity carry, and must bring again: of its
  // name and its policy. OpenSSL's session id context.
  [[nodiscard]] const Digest& binding() const { return binding_; }

  // Sets `ssl` to this identity's policy and binding: before OpenSSL looks at
  // what the client wants to resume.
  [[nodiscard]] bool bind(SSL* ssl) const;
  // Gives `ssl` the credentials, and the names of the CAs that clients' are to
  // be of.
  [[nodiscard]] bool apply(SSL* ssl) const;

  void acquire() const { refs_.add(); }
  void release() const;
  Identity(const Identity&) = delete;
  Identity& operator=(const Identity&) = delete;

 private:
  explicit Identity(Parts&& parts);
  ~Identity() = default;

  RefCount refs_;
  std::uint8_t name_bytes_ = 0;
  Slots slots_;
  ClientPolicyRef policy_;
  Digest binding_;
};

using IdentityRef = Ref<const Identity>;

// Whether a connection made under `connection` may carry requests for a host
// whose identity is `host` (null: the host has none, and wants no certificates).
// Where it may not, the answer is 421: nobody comes to a domain with a client
// certificate, or without one, that was judged by another's rules.
[[nodiscard]] inline bool may_carry(const Identity& connection,
                                    const Identity* host) {
  return same_policy(connection.policy().get(),
                     host == nullptr ? nullptr : host->policy().get());
}

}  // namespace fealty::sni
