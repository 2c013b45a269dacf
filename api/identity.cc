#include "api/identity.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sodium.h>

#include <array>
#include <memory>

#include "base/check.h"

namespace fealty::api {
namespace {

constexpr unsigned kRsaBits = 2048;

using Pkey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;

std::string contents(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

}  // namespace

std::string make_uuid() {
  std::array<unsigned char, 16> bytes{};
  randombytes_buf(bytes.data(), bytes.size());
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0fU) | 0x40U);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3fU) | 0x80U);
  std::array<char, 33> hex{};
  sodium_bin2hex(hex.data(), hex.size(), bytes.data(), bytes.size());
  std::string text = hex.data();
  for (const std::size_t at : {8U, 13U, 18U, 23U}) text.insert(at, 1, '-');
  return text;
}

Result<RsaPair> make_rsa_pair() {
  const Pkey key(EVP_RSA_gen(kRsaBits), EVP_PKEY_free);
  const Bio secret(BIO_new(BIO_s_mem()), BIO_free);
  const Bio open(BIO_new(BIO_s_mem()), BIO_free);
  if (!key || !secret || !open ||
      PEM_write_bio_PrivateKey_traditional(secret.get(), key.get(), nullptr,
                                           nullptr, 0, nullptr, nullptr) != 1 ||
      PEM_write_bio_PUBKEY(open.get(), key.get()) != 1) {
    return Error{"no RSA key can be made"};
  }
  return RsaPair{contents(secret.get()), contents(open.get())};
}

std::string container_ip(std::int64_t id) {
  const std::int64_t host = id + 2;
  return "10." + std::to_string(host >> 16 & 0xff) + "." +
         std::to_string(host >> 8 & 0xff) + "." + std::to_string(host & 0xff);
}

std::string hostname_of(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool stays = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       (c >= '0' && c <= '9') || c == '-';
    const bool goes_on = (static_cast<unsigned char>(c) & 0xC0) == 0x80;
    if (!goes_on) out += stays ? c : '-';
  }
  return out;
}

}  // namespace fealty::api
