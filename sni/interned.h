#pragma once

#include <cstddef>
#include <unordered_map>
#include <utility>

#include "base/ref.h"
#include "sni/digest.h"
#include "sni/openssl.h"

namespace fealty::sni {

// Things that many identities have in common (the intermediates of a CA, a
// client policy), each there once, by the digest of what it was made of. T
// offers acquire(), release() and shared(). What nobody else holds any more
// goes when the table has doubled. One thread.
template <typename T>
class Interned {
 public:
  [[nodiscard]] Ref<const T> find(const Digest& digest) const {
    const auto found = items_.find(digest);
    return found == items_.end() ? Ref<const T>{} : found->second;
  }
  void add(const Digest& digest, Ref<const T> item) {
    if (items_.size() >= sweep_at_) sweep();
    items_.insert_or_assign(digest, std::move(item));
  }
  [[nodiscard]] std::size_t size() const { return items_.size(); }
  void sweep() {
    std::erase_if(items_, [](const auto& it) { return !it.second->shared(); });
    sweep_at_ = items_.size() * 2 + kSweepMin;
  }

 private:
  static constexpr std::size_t kSweepMin = 16;
  std::unordered_map<Digest, Ref<const T>, DigestHash> items_;
  std::size_t sweep_at_ = kSweepMin;
};

// The certificates that follow the first of a chain. Immutable; any thread.
class Chain {
 public:
  explicit Chain(CertificatesPtr certificates)
      : certificates_(std::move(certificates)) {}
  [[nodiscard]] STACK_OF(X509) * get() const { return certificates_.get(); }

  [[nodiscard]] bool shared() const { return !refs_.unique(); }
  void acquire() const { refs_.add(); }
  void release() const {
    if (refs_.drop()) delete this;
  }

 private:
  CertificatesPtr certificates_;
  RefCount refs_;
};
using Chains = Interned<Chain>;

}  // namespace fealty::sni
