#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "base/key_tree.h"
#include "base/result.h"
#include "sni/identity.h"
#include "sni/refusal.h"
#include "sni/snapshot.h"

namespace fealty::sni {

// The PEM texts of an identity. Views: the caller read them, from files or from
// a packet, and wipes them.
struct IdentityPem {
  std::string_view chain;
  std::string_view key;
  std::string_view client_ca{};          // "": no certificates are asked for
  std::string_view client_crl{};
  bool client_demanded = false;
  int client_depth = 2;
};

// The identities as the control thread knows them, by name (as the routes have
// them: a domain, or ".domain" for its wildcard; without port and mountpoint).
// It parses, keeps what is good, publishes snapshots. Control thread only.
//
// A name has one credential for each kind of key (RSA, EC), of which the last
// that came counts, and one client policy: that of whatever came last. Material
// whose bytes were seen last time is not looked at again. What is refused
// leaves in place what was there, and is told by problem().
//
// Memory: at most kBytesEach for each ECDSA identity (P-256, certificates up to
// some 1 KiB of DER, chains shared), the tree included; below kBytesFree in all
// nothing is held back.
class Store {
 public:
  static constexpr std::int64_t kBytesEach = 6 * 1024;
  static constexpr std::int64_t kBytesFree = 4 * 1024 * 1024;
  static constexpr std::size_t kProblemsMax = 10'000;

  enum class Outcome { kUnchanged, kChanged };

  explicit Store(const Clock& clock);

  // Some 100 us where the bytes are new, 10 us where they are not.
  [[nodiscard]] Result<Outcome, Refusal> put(std::string_view name,
                                             const IdentityPem& pem);
  // All of a name; false where there was nothing.
  bool remove(std::string_view name);

  // An identity that is not in the store: a listener's default. It is served
  // where the name is `name` for want of another.
  [[nodiscard]] Result<IdentityRef, Refusal> make_default(
      std::string_view name, const IdentityPem& pem);

  // Why the last material of this name was refused; empty: it was not. Beyond
  // kProblemsMax names only those that come first are remembered.
  [[nodiscard]] std::optional<Refusal> problem(std::string_view name) const;
  [[nodiscard]] std::size_t problems() const { return problems_.size(); }

  [[nodiscard]] std::size_t size() const { return size_; }
  // Whether something changed since the last build().
  [[nodiscard]] bool dirty() const { return dirty_; }
  [[nodiscard]] SnapshotPtr build();
  [[nodiscard]] const Identity* find_exact(std::string_view name) const {
    return tree_.find(name);
  }

 private:
  struct Problem {
    Digest source;
    Refusal why;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return hash_key(text);
    }
  };

  [[nodiscard]] Result<Identity::Parts, Refusal> judge(
      std::string_view name, const IdentityPem& pem, const Digest& source);
  [[nodiscard]] std::optional<Refusal> known_problem(
      std::string_view name, const Digest& source) const;
  void remember(std::string_view name, const Digest& source, Refusal why);
  void forget(std::string_view name);
  void insert(IdentityRef identity, const Identity* before);

  const Clock& clock_;
  Chains chains_;
  ClientPolicies policies_;
  Ref<const MaterialBudget> budget_;
  KeyTree<Identity> tree_;
  std::unordered_map<std::string, Problem, Hash, std::equal_to<>> problems_;
  std::size_t size_ = 0;
  std::size_t with_policy_ = 0;
  std::uint64_t version_ = 0;
  bool dirty_ = false;
};

}  // namespace fealty::sni
