#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

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

// Who brings something for a name: a key of that name (there may be several, with
// ports or mountpoints), and one of the materials of its nodes. Numbers that the
// caller gives.
struct Origin {
  std::uint64_t key = 0;
  std::uint64_t source = 0;
  bool operator==(const Origin&) const = default;
};

// The identities as the control thread knows them, by name (as the routes have
// them: a domain, or ".domain" for its wildcard; without port and mountpoint).
// It parses, keeps what is good, publishes snapshots. Control thread only.
//
// A name has what its origins brought. For each kind of key (RSA, EC) the
// credential that came last is served. The client policy is one that satisfies
// every origin which is not retired: where they differ, a certificate is demanded
// if one of them demands it, and it is of a CA that all of them accept who ask
// for one at all (conflict() tells). So none of them can open what another guards.
//
// Material whose bytes were seen last time is not looked at again. Where it is
// refused, the credential that was there stays; a client policy that can be read
// counts even if its certificate does not.
//
// Memory: at most kBytesEach for each ECDSA identity (P-256, certificates up to
// some 1 KiB of DER, chains shared), the tree included; below kBytesFree in all
// nothing is held back.
class Store {
 public:
  static constexpr std::int64_t kBytesEach = 6 * 1024;
  static constexpr std::int64_t kBytesFree = 4 * 1024 * 1024;
  static constexpr std::size_t kProblemsMax = 10'000;
  static constexpr std::size_t kOriginsMax = 256;   // of one name

  enum class Outcome { kUnchanged, kChanged };

  explicit Store(const Clock& clock);

  // Some 100 us where the bytes are new, 10 us where they are not.
  [[nodiscard]] Result<Outcome, Refusal> put(std::string_view name,
                                             const IdentityPem& pem,
                                             const Origin& origin = {});
  // The origin's key is there, but nobody names this material any more: its
  // policy goes, and its credential as soon as another one is there.
  void retire(std::string_view name, const Origin& origin);
  // All that this key brought.
  void drop(std::string_view name, std::uint64_t key);
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
  // The origins of this name want different things of clients.
  [[nodiscard]] bool conflict(std::string_view name) const;
  // The name is served, and this origin's policy lets nobody in who has no
  // certificate.
  [[nodiscard]] bool guards(std::string_view name, const Origin& origin) const;

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

  struct Brought {
    Origin origin;
    Digest source{};                 // of what was accepted as a whole
    CredentialRef credential;
    ClientPolicyRef policy;
    bool retired = false;
  };
  struct Name {
    std::vector<Brought> brought;    // what came last stands last
    bool conflict = false;
  };
  using Names =
      std::unordered_map<std::string, Name, Hash, std::equal_to<>>;

  [[nodiscard]] Result<ClientPolicyRef, Refusal> policy_of(
      const IdentityPem& pem);
  [[nodiscard]] Result<CredentialRef, Refusal> credential_of(
      const IdentityPem& pem);
  [[nodiscard]] std::optional<Refusal> take(Name& name,
                                            const IdentityPem& pem,
                                            const Origin& origin,
                                            const Digest& source,
                                            std::optional<Refusal> known);
  [[nodiscard]] ClientPolicyRef joint_policy(Name& name);
  bool rebuild(Names::iterator at);
  [[nodiscard]] std::optional<Refusal> known_problem(
      std::string_view name, const Digest& source) const;
  void remember(std::string_view name, const Digest& source, Refusal why);
  void forget(std::string_view name);
  void insert(IdentityRef identity, const Identity* before);
  bool erase(std::string_view name);

  const Clock& clock_;
  Chains chains_;
  ClientPolicies policies_;
  Ref<const MaterialBudget> budget_;
  KeyTree<Identity> tree_;
  Names names_;
  std::unordered_map<std::string, Problem, Hash, std::equal_to<>> problems_;
  std::size_t size_ = 0;
  std::size_t with_policy_ = 0;
  std::uint64_t version_ = 0;
  bool dirty_ = false;
};

}  // namespace fealty::sni
