// SHA256_CTX can be copied, which EVP's contexts cannot without an allocation.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "router/request_seal.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string>

#include "base/check.h"
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

std::size_t RequestSeal::add(std::span<char> out, std::size_t packet_bytes,
                             std::int64_t unix_s) const {
  std::array<char, kValueBytesMax> value;
  char* const end =
      std::to_chars(value.data(), value.data() + value.size(), unix_s).ptr;
  const std::string_view stamp(value.data(),
                               static_cast<std::size_t>(end - value.data()));
  *end = ':';
  write_mac(stamp,
            {out.data() + wire::kUwsgiHeaderBytes,
             packet_bytes - wire::kUwsgiHeaderBytes},
            end + 1);
  return wire::append_pair(out, packet_bytes, kVariable,
                           {value.data(), stamp.size() + 1 + kMacDigits});
}

bool RequestSeal::is_good(std::string_view value, std::string_view sealed,
                          std::int64_t unix_s) const {
  const std::size_t colon = value.find(':');
  if (colon == value.npos || value.size() - colon - 1 != kMacDigits) {
    return false;
  }
  const std::string_view stamp = value.substr(0, colon);
  std::int64_t then_s = 0;
  const char* const end = stamp.data() + stamp.size();
  const auto read = std::from_chars(stamp.data(), end, then_s);
  if (read.ec != std::errc{} || read.ptr != end || then_s < 0 ||
      then_s < unix_s - kTolerance_s || then_s > unix_s + kTolerance_s) {
    return false;
  }
  std::array<char, kMacDigits> digits;
  write_mac(stamp, sealed, digits.data());
  return CRYPTO_memcmp(digits.data(), value.data() + colon + 1, kMacDigits) ==
         0;
}

}  // namespace fealty::router
