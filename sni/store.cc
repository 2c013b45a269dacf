#include "sni/store.h"

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
// may take in all. The overhead is malloc's, and the shards'.
std::int64_t own_bytes(const Identity& identity) {
  constexpr std::size_t kOverhead = 160;
  std::size_t bytes = sizeof identity + identity.key().size() + kOverhead;
  for (const auto& slot : identity.slots()) {
    if (slot.credential != nullptr) bytes += slot.credential->bytes();
  }
  return static_cast<std::int64_t>(bytes);
}

// What the budget has of an identity. RSA ones add nothing, and take nothing.
std::int64_t share_of(const Identity* identity) {
  if (identity == nullptr) return 0;
  for (const auto& slot : identity->slots()) {
    if (slot.credential != nullptr && slot.credential->is_short()) {
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
                                           const IdentityPem& pem) {
  if (!is_name(name)) return Refusal::kBadName;
  const Digest source = source_of(pem);
  const Identity* const before = tree_.find(name);
  if (before != nullptr && before->is_made_of(source)) {
    forget(name);
    return Outcome::kUnchanged;
  }
  if (const auto why = known_problem(name, source)) return *why;
  auto parts = judge(name, pem, source);
  if (!parts) {
    remember(name, source, parts.error());
    return parts.error();
  }
  if (before != nullptr) {
    for (std::size_t i = 0; i < kKeyKinds; ++i) {
      auto& slot = parts->slots[i];
      if (slot.credential == nullptr) slot = before->slots()[i];
    }
  }
  insert(Identity::make(*std::move(parts)), before);
  forget(name);
  return Outcome::kChanged;
}

Result<IdentityRef, Refusal> Store::make_default(std::string_view name,
                                                 const IdentityPem& pem) {
  if (name.size() > kNameBytesMax) return Refusal::kBadName;
  auto parts = judge(name, pem, source_of(pem));
  if (!parts) return parts.error();
  return Identity::make(*std::move(parts));
}

Result<Identity::Parts, Refusal> Store::judge(std::string_view name,
                                              const IdentityPem& pem,
                                              const Digest& source) {
  Identity::Parts parts;
  parts.name = name;
  if (!pem.client_ca.empty()) {
    auto policy = ClientPolicy::parse({pem.client_ca, pem.client_crl,
                                       pem.client_demanded, pem.client_depth},
                                      policies_);
    if (!policy) return policy.error();
    parts.policy = *std::move(policy);
  } else if (pem.client_demanded) {
    return Refusal::kBadClientCa;
  }
  auto credential = Credential::parse(pem.chain, pem.key, clock_.unix_s(),
                                      chains_, budget_);
  if (!credential) return credential.error();
  const auto kind = static_cast<std::size_t>((*credential)->kind());
  parts.slots[kind] = {*std::move(credential), source};
  return parts;
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
