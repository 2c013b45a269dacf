#include "sni/store.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace fealty::sni {
namespace {

Digest source_of(const IdentityPem& pem) {
  return Hasher()
      .add(pem.chain)
      .add(pem.key)
      .add(pem.client_ca)
      .add(pem.client_crl)
      .add(pem.client_demanded ? 1 : 0)
      .add(static_cast<std::uint64_t>(pem.client_depth))
      .finish();
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax &&
         name.find('\0') == name.npos;
}

// What an identity and its places in the tree take for themselves, of what it
// may take in all. The overhead is malloc's, the shards', and what is known of
// its origins.
std::int64_t own_bytes(const Identity& identity) {
  constexpr std::size_t kOverhead = 160 + 280;
  std::size_t bytes = sizeof identity + identity.key().size() + kOverhead;
  for (const auto& credential : identity.slots()) {
    if (credential != nullptr) bytes += credential->bytes();
  }
  return static_cast<std::int64_t>(bytes);
}

// What the budget has of an identity. RSA ones add nothing, and take nothing.
std::int64_t share_of(const Identity* identity) {
  if (identity == nullptr) return 0;
  for (const auto& credential : identity->slots()) {
    if (credential != nullptr && credential->is_short()) {
      return Store::kBytesEach - own_bytes(*identity);
    }
  }
  return 0;
}

bool has_policy(const Identity& identity) {
  return identity.policy() != nullptr;
}

}  // namespace

Store::Store(const Clock& clock)
    : clock_(clock),
      budget_(Ref<const MaterialBudget>::adopt(
          new MaterialBudget(kBytesFree))) {}

Result<Store::Outcome, Refusal> Store::put(std::string_view name,
                                           const IdentityPem& pem,
                                           const Origin& origin) {
  if (!is_name(name)) return Refusal::kBadName;
  const Digest source = source_of(pem);
  auto at = names_.find(name);
  if (at != names_.end()) {
    auto& all = at->second.brought;
    const auto own = std::find_if(all.begin(), all.end(), [&](const auto& it) {
      return it.origin == origin && !it.retired && it.source == source;
    });
    if (own != all.end()) {
      forget(name);
      std::rotate(own, own + 1, all.end());
      return rebuild(at) ? Outcome::kChanged : Outcome::kUnchanged;
    }
  }
  if (at == names_.end()) at = names_.emplace(name, Name{}).first;
  const auto known = known_problem(name, source);
  const auto why = take(at->second, pem, origin, source, known);
  const bool changed = rebuild(at);
  if (why) {
    remember(name, source, *why);
    return *why;
  }
  forget(name);
  return changed ? Outcome::kChanged : Outcome::kUnchanged;
}

// Without a readable policy nothing is taken: what is wanted of clients would be
// unknown.
std::optional<Refusal> Store::take(Name& name, const IdentityPem& pem,
                                   const Origin& origin, const Digest& source,
                                   std::optional<Refusal> known) {
  auto policy = policy_of(pem);
  if (!policy) return policy.error();
  auto credential = known ? Result<CredentialRef, Refusal>(*known)
                          : credential_of(pem);
  auto& all = name.brought;
  auto own = std::find_if(all.begin(), all.end(), [&](const Brought& brought) {
    return brought.origin == origin;
  });
  if (own == all.end()) {
    if (all.size() == kOriginsMax) return Refusal::kTooManyOrigins;
    own = all.emplace(all.end());
    own->origin = origin;
  }
  own->policy = *std::move(policy);
  own->retired = false;
  own->source = {};
  if (!credential) return credential.error();
  own->credential = *std::move(credential);
  own->source = source;
  std::rotate(own, own + 1, all.end());
  return std::nullopt;
}

void Store::retire(std::string_view name, const Origin& origin) {
  const auto at = names_.find(name);
  if (at == names_.end()) return;
  for (Brought& brought : at->second.brought) {
    if (brought.origin != origin) continue;
    brought.retired = true;
    brought.policy.reset();
  }
  rebuild(at);
}

void Store::drop(std::string_view name, std::uint64_t key) {
  const auto at = names_.find(name);
  if (at == names_.end()) return;
  std::erase_if(at->second.brought, [&](const Brought& brought) {
    return brought.origin.key == key;
  });
  rebuild(at);
  if (find_exact(name) == nullptr) forget(name);
}

bool Store::conflict(std::string_view name) const {
  const auto at = names_.find(name);
  return at != names_.end() && at->second.conflict;
}

bool Store::guards(std::string_view name, const Origin& origin) const {
  const auto at = names_.find(name);
  if (at == names_.end() || find_exact(name) == nullptr) return false;
  return std::any_of(at->second.brought.begin(), at->second.brought.end(),
                     [&](const Brought& brought) {
                       return brought.origin == origin && !brought.retired &&
                              brought.policy != nullptr &&
                              brought.policy->demands();
                     });
}

ClientPolicyRef Store::joint_policy(Name& name) {
  ClientPolicyRef joint;
  bool first = true;
  name.conflict = false;
  for (const Brought& brought : name.brought) {
    if (brought.retired) continue;
    const bool differs =
        !first && !same_policy(joint.get(), brought.policy.get());
    joint = differs ? ClientPolicy::joint(joint, brought.policy, policies_)
                    : brought.policy;
    name.conflict = name.conflict || differs;
    first = false;
  }
  return joint;
}

// What is served of a name, from what was brought. True where it is another now.
bool Store::rebuild(Names::iterator at) {
  Name& name = at->second;
  auto& all = name.brought;
  const bool served = std::any_of(all.begin(), all.end(), [](const auto& it) {
    return !it.retired && it.credential != nullptr;
  });
  if (served) std::erase_if(all, [](const auto& it) { return it.retired; });
  Identity::Parts parts;
  parts.name = at->first;
  bool any = false;
  for (const Brought& brought : all) {
    if (brought.credential == nullptr) continue;
    const auto kind = static_cast<std::size_t>(brought.credential->kind());
    parts.slots[kind] = brought.credential;
    any = true;
  }
  parts.policy = joint_policy(name);
  const Identity* const before = tree_.find(at->first);
  if (!any) {
    const bool gone = before != nullptr && erase(at->first);
    if (all.empty()) names_.erase(at);
    return gone;
  }
  if (before != nullptr && before->slots() == parts.slots &&
      same_policy(before->policy().get(), parts.policy.get())) {
    return false;
  }
  insert(Identity::make(std::move(parts)), before);
  return true;
}

Result<IdentityRef, Refusal> Store::make_default(std::string_view name,
                                                 const IdentityPem& pem) {
  if (name.size() > kNameBytesMax) return Refusal::kBadName;
  auto policy = policy_of(pem);
  if (!policy) return policy.error();
  auto credential = credential_of(pem);
  if (!credential) return credential.error();
  Identity::Parts parts;
  parts.name = name;
  parts.policy = *std::move(policy);
  const auto kind = static_cast<std::size_t>((*credential)->kind());
  parts.slots[kind] = *std::move(credential);
  return Identity::make(std::move(parts));
}

Result<ClientPolicyRef, Refusal> Store::policy_of(const IdentityPem& pem) {
  if (!pem.client_ca.empty()) {
    return ClientPolicy::parse({pem.client_ca, pem.client_crl,
                                pem.client_demanded, pem.client_depth},
                               policies_);
  }
  if (pem.client_demanded) return Refusal::kBadClientCa;
  return ClientPolicyRef{};
}

Result<CredentialRef, Refusal> Store::credential_of(const IdentityPem& pem) {
  return Credential::parse(pem.chain, pem.key, clock_.unix_s(), chains_,
                           budget_);
}

void Store::insert(IdentityRef identity, const Identity* before) {
  budget_->give(share_of(identity.get()) - share_of(before));
  if (before == nullptr) {
    ++size_;
  } else if (has_policy(*before)) {
    --with_policy_;
  }
  if (has_policy(*identity)) ++with_policy_;
  tree_.put(std::move(identity));
  dirty_ = true;
}

bool Store::remove(std::string_view name) {
  forget(name);
  const auto at = names_.find(name);
  if (at != names_.end()) names_.erase(at);
  return erase(name);
}

bool Store::erase(std::string_view name) {
  const Identity* const identity = tree_.find(name);
  if (identity == nullptr) return false;
  budget_->charge(share_of(identity));
  --size_;
  if (has_policy(*identity)) --with_policy_;
  tree_.remove(name);
  dirty_ = true;
  return true;
}

SnapshotPtr Store::build() {
  dirty_ = false;
  return std::make_shared<const Snapshot>(tree_, with_policy_, ++version_);
}

std::optional<Refusal> Store::problem(std::string_view name) const {
  const auto found = problems_.find(name);
  if (found == problems_.end()) return std::nullopt;
  return found->second.why;
}

// The same bytes are as bad as before, unless time mends them.
std::optional<Refusal> Store::known_problem(std::string_view name,
                                            const Digest& source) const {
  const auto found = problems_.find(name);
  if (found == problems_.end() || found->second.source != source ||
      found->second.why == Refusal::kNotYetValid) {
    return std::nullopt;
  }
  return found->second.why;
}

void Store::remember(std::string_view name, const Digest& source, Refusal why) {
  const auto found = problems_.find(name);
  if (found != problems_.end()) {
    found->second = {source, why};
  } else if (problems_.size() < kProblemsMax) {
    problems_.emplace(name, Problem{source, why});
  }
}

void Store::forget(std::string_view name) {
  const auto found = problems_.find(name);
  if (found != problems_.end()) problems_.erase(found);
}

}  // namespace fealty::sni
