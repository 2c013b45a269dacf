#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "cli/plan.h"
#include "wire/signing_key.h"

namespace fealty::cli {

// The files that announcements are made of: the signing key, and the identity
// where its text is sent. They are read again for each round of announcements,
// so that a renewed certificate or key counts without a restart; what cannot be
// read any more leaves the last good text in use.
class Materials {
 public:
  explicit Materials(const Plan& plan);

  // The first time: everything must be there and fit together.
  [[nodiscard]] Status load();
  // Later. The error says which file; what was there before is kept.
  [[nodiscard]] Status reload() { return load(); }

  // Null where nothing is signed. Until the next load().
  [[nodiscard]] const wire::SigningKey* key() const {
    return key_ ? &*key_ : nullptr;
  }
  // Fills sni_key, sni_crt and sni_ca.
  void fill(wire::SubscriptionPacket& packet) const;

 private:
  [[nodiscard]] Status load_key();
  [[nodiscard]] Status load_sni();

  const Plan& plan_;
  std::optional<wire::SigningKey> key_;
  std::string sni_key_;
  std::string sni_crt_;
  std::string sni_ca_;           // with its '!'
};

// Why key and certificate chain, in PEM, make no identity; empty if they do.
[[nodiscard]] std::string identity_problem(const std::string& key_pem,
                                           const std::string& chain_pem);

}  // namespace fealty::cli
