#include "sni/identity.h"

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

#include "base/check.h"

namespace fealty::sni {
namespace {

Digest binding_of(std::string_view name, const ClientPolicy* policy) {
  Hasher hasher;
  hasher.add("identity").add(name).add(policy == nullptr ? 0 : 1);
  if (policy != nullptr) {
    const Digest& digest = policy->digest();
    hasher.add({reinterpret_cast<const char*>(digest.data()), digest.size()});
  }
  return hasher.finish();
}

}  // namespace

Identity::Identity(Parts&& parts)
    : name_bytes_(static_cast<std::uint8_t>(parts.name.size())),
      slots_(std::move(parts.slots)),
      policy_(std::move(parts.policy)),
      binding_(binding_of(parts.name, policy_.get())) {
  parts.name.copy(reinterpret_cast<char*>(this + 1), parts.name.size());
}

Ref<const Identity> Identity::make(Parts parts) {
  FEALTY_CHECK(parts.name.size() <= kNameBytesMax);
  void* const memory = ::operator new(sizeof(Identity) + parts.name.size());
  return Ref<const Identity>::adopt(new (memory) Identity(std::move(parts)));
}

void Identity::release() const {
  if (!refs_.drop()) return;
  this->~Identity();
  ::operator delete(const_cast<Identity*>(this));
}

std::int64_t Identity::not_after_s() const {
  std::int64_t first = std::numeric_limits<std::int64_t>::max();
  for (const CredentialRef& credential : slots_) {
    if (credential != nullptr) {
      first = std::min(first, credential->not_after_s());
    }
  }
  return first;
}

bool Identity::names(const std::string& host) const {
  return std::all_of(slots_.begin(), slots_.end(),
                     [&](const CredentialRef& credential) {
                       return credential == nullptr || credential->names(host);
                     });
}

bool Identity::bind(SSL* ssl) const {
  static_assert(std::tuple_size_v<Digest> <= SSL_MAX_SID_CTX_LENGTH);
  if (SSL_set_session_id_context(ssl, binding_.data(),
                                 static_cast<unsigned>(binding_.size())) != 1) {
    return false;
  }
  return policy_ == nullptr || policy_->apply(ssl);
}

bool Identity::apply(SSL* ssl) const {
  bool applied = false;
  for (const CredentialRef& credential : slots_) {
    if (credential == nullptr) continue;
    if (!credential->apply(ssl)) return false;
    applied = true;
  }
  return applied && (policy_ == nullptr || policy_->name_cas(ssl));
}

}  // namespace fealty::sni
