#pragma once

#include <string>
#include <vector>

#include "sni/identity.h"

namespace fealty::sni {

// An identity as the texts that it could be made of again, for a successor of
// this process (an upgrade): one for each of its credentials, each with the
// client policy. They hold private keys: wiped at the end.
struct ExportedIdentity {
  ExportedIdentity() = default;
  ExportedIdentity(ExportedIdentity&&) = default;
  ExportedIdentity& operator=(ExportedIdentity&&) = default;
  ~ExportedIdentity();

  std::string name;
  std::string chain;
  std::string key;
  std::string client_ca;                 // "": none are asked for
  std::string client_crl;
  bool client_demanded = false;
  int client_depth = 2;
};

// Some 100 us a credential. Empty where memory ran out.
[[nodiscard]] std::vector<ExportedIdentity> export_identity(
    const Identity& identity);

}  // namespace fealty::sni
