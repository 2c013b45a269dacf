#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "base/ref.h"
#include "sni/openssl.h"

namespace fealty::sni {

// A certificate and its key as OpenSSL needs them: some 5 to 8 KiB.
struct Material {
  Material(CertificatePtr its_certificate, KeyPtr its_key)
      : certificate(std::move(its_certificate)), key(std::move(its_key)) {}
  CertificatePtr certificate;
  KeyPtr key;
};

// How many bytes the credentials of a store may hold as Material; what they
// hold in short form is not counted. Grows with each identity, so that the sum
// stays below its bound each (store.h), above a floor that lets small stores
// keep everything. Any thread.
class MaterialBudget {
 public:
  explicit MaterialBudget(std::int64_t bytes) : left_(bytes) {}

  // False, and nothing taken, where less than `bytes` are left.
  [[nodiscard]] bool take(std::int64_t bytes) const {
    if (left_.fetch_sub(bytes, std::memory_order_relaxed) >= bytes) return true;
    give(bytes);
    return false;
  }
  // Takes what is not there, if need be: later ones get less.
  void charge(std::int64_t bytes) const { give(-bytes); }
  void give(std::int64_t bytes) const {
    left_.fetch_add(bytes, std::memory_order_relaxed);
  }
  [[nodiscard]] std::int64_t left() const {
    return left_.load(std::memory_order_relaxed);
  }

  void acquire() const { refs_.add(); }
  void release() const {
    if (refs_.drop()) delete this;
  }

 private:
  mutable std::atomic<std::int64_t> left_;
  RefCount refs_;
};

}  // namespace fealty::sni
