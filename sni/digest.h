#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

#include "base/check.h"

namespace fealty::sni {

using Digest = std::array<unsigned char, 32>;

// SHA-256 over parts, each of which counts with its length: two sequences of
// parts have the same digest only if they are the same.
class Hasher {
 public:
  Hasher() : context_(EVP_MD_CTX_new()) {
    FEALTY_CHECK(context_ != nullptr);
    FEALTY_CHECK(EVP_DigestInit_ex2(context_.get(), sha256(), nullptr) == 1);
  }
  Hasher& add(std::string_view part) {
    const std::uint64_t bytes = part.size();
    put(&bytes, sizeof bytes);
    put(part.data(), part.size());
    return *this;
  }
  Hasher& add(std::uint64_t number) {
    put(&number, sizeof number);
    return *this;
  }
  [[nodiscard]] Digest finish() {
    Digest digest{};
    FEALTY_CHECK(
        EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1);
    return digest;
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* what) const { EVP_MD_CTX_free(what); }
  };
  // Looked up once a process: that is the larger part of a short hash's cost.
  static const EVP_MD* sha256() {
    static const EVP_MD* const found =
        EVP_MD_fetch(nullptr, "SHA256", nullptr);
    FEALTY_CHECK(found != nullptr);
    return found;
  }
  void put(const void* bytes, std::size_t count) {
    FEALTY_CHECK(EVP_DigestUpdate(context_.get(), bytes, count) == 1);
  }

  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

// For tables by digest: its bits are as good as random.
struct DigestHash {
  std::size_t operator()(const Digest& digest) const {
    std::size_t bits = 0;
    std::memcpy(&bits, digest.data(), sizeof bits);
    return bits;
  }
};

}  // namespace fealty::sni
