// SHA256_CTX can be copied, which EVP's contexts cannot without an allocation.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "router/request_seal.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>

#include "wire/uwsgi_packet.h"

namespace fealty::router {
namespace {

using Block = std::array<unsigned char, SHA256_CBLOCK>;

SHA256_CTX started_with(Block block, unsigned char pad) {
  for (unsigned char& byte : block) byte ^= pad;
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, block.data(), block.size());
  OPENSSL_cleanse(block.data(), block.size());
  return context;
}

}  // namespace

// RFC 2104.
RequestSeal::RequestSeal(std::span<const unsigned char, kKeyBytes> key) {
  Block block{};
  std::copy(key.begin(), key.end(), block.begin());
  inner_ = started_with(block, 0x36);
  outer_ = started_with(block, 0x5c);
  OPENSSL_cleanse(block.data(), block.size());
}

RequestSeal::~RequestSeal() {
  OPENSSL_cleanse(&inner_, sizeof inner_);
  OPENSSL_cleanse(&outer_, sizeof outer_);
}

std::string_view RequestSeal::to_string(Finding finding) {
  switch (finding) {
    case Finding::kGood: return "good";
    case Finding::kAbsent: return "absent";
    case Finding::kBad: return "bad";
    case Finding::kStale: return "stale";
  }
  return "unknown";
}

std::optional<RequestSeal> RequestSeal::with(std::string_view key) {
  if (key.size() != kKeyBytes) return std::nullopt;
  const auto* const bytes = reinterpret_cast<const unsigned char*>(key.data());
  return RequestSeal(std::span<const unsigned char, kKeyBytes>(bytes, kKeyBytes));
}

void RequestSeal::write_mac(std::string_view stamp, std::string_view sealed,
                            char* digits) const {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256_CTX context = inner_;
  SHA256_Update(&context, stamp.data(), stamp.size());
  SHA256_Update(&context, ":", 1);
  SHA256_Update(&context, sealed.data(), sealed.size());
  SHA256_Final(digest.data(), &context);
  context = outer_;
  SHA256_Update(&context, digest.data(), digest.size());
  SHA256_Final(digest.data(), &context);
  for (std::size_t i = 0; i < kMacDigits / 2; ++i) {
    digits[2 * i] = kDigits[digest[i] >> 4];
    digits[2 * i + 1] = kDigits[digest[i] & 15];
  }
}

void RequestSeal::write(char* packet, std::size_t head_bytes,
                        std::int64_t unix_s) const {
  std::array<char, kValueBytes> value;
  for (std::size_t i = kStampDigits; i-- > 0; unix_s /= 10) {
    value[i] = static_cast<char>('0' + unix_s % 10);
  }
  value[kStampDigits] = ':';
  write_mac({value.data(), kStampDigits},
            {packet + wire::kUwsgiHeaderBytes,
             head_bytes - wire::kUwsgiHeaderBytes},
            value.data() + kStampDigits + 1);
  wire::append_pair(packet, head_bytes, kVariable,
                    {value.data(), value.size()});
}

RequestSeal::Finding RequestSeal::judge(std::string_view value,
                                        std::string_view sealed,
                                        std::int64_t unix_s) const {
  if (value.empty()) return Finding::kAbsent;
  if (value.size() != kValueBytes || value[kStampDigits] != ':') {
    return Finding::kBad;
  }
  const std::string_view stamp = value.substr(0, kStampDigits);
  std::int64_t then_s = 0;
  for (const char digit : stamp) {
    if (digit < '0' || digit > '9') return Finding::kBad;
    then_s = then_s * 10 + (digit - '0');
  }
  std::array<char, kMacDigits> digits;
  write_mac(stamp, sealed, digits.data());
  if (CRYPTO_memcmp(digits.data(), value.data() + kStampDigits + 1,
                    kMacDigits) != 0) {
    return Finding::kBad;
  }
  const bool counts =
      then_s >= unix_s - kTolerance_s && then_s <= unix_s + kTolerance_s;
  return counts ? Finding::kGood : Finding::kStale;
}

}  // namespace fealty::router
