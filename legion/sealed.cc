#include "legion/sealed.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <memory>

#include "base/check.h"
#include "wire/uwsgi_packet.h"

namespace fealty::legion {
namespace {

constexpr std::string_view kSalt = "fealty legion";
constexpr std::string_view kInfo = "announce aes-256-gcm 1 ";

struct Free {
  void operator()(EVP_CIPHER_CTX* context) const {
    EVP_CIPHER_CTX_free(context);
  }
  void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
  void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, Free>;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

OSSL_PARAM octets(const char* name, std::string_view value) {
  return OSSL_PARAM_construct_octet_string(
      name, const_cast<char*>(value.data()), value.size());
}

}  // namespace

SealedWire::SealedWire(std::string_view secret, std::string_view legion) {
  const std::string info = std::string(kInfo) + std::string(legion);
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      octets(OSSL_KDF_PARAM_KEY, secret), octets(OSSL_KDF_PARAM_SALT, kSalt),
      octets(OSSL_KDF_PARAM_INFO, info), OSSL_PARAM_construct_end()};
  const std::unique_ptr<EVP_KDF, Free> kdf(
      EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  FEALTY_CHECK(kdf != nullptr);
  const std::unique_ptr<EVP_KDF_CTX, Free> context(EVP_KDF_CTX_new(kdf.get()));
  FEALTY_CHECK(EVP_KDF_derive(context.get(), key_.data(), key_.size(),
                              parameters) == 1);
}

bool SealedWire::is_sealed(std::string_view datagram) {
  const auto header = wire::decode_uwsgi_header(datagram);
  return header && header->modifier1 == wire::kModifierLegion &&
         header->modifier2 == kVersion;
}

std::string SealedWire::seal(std::string_view clear) const {
  FEALTY_CHECK(clear.size() <= wire::kUwsgiDataBytesMax);
  std::string out(kOverheadBytes + clear.size(), '\0');
  auto* const at = reinterpret_cast<unsigned char*>(out.data());
  wire::encode_uwsgi_header(
      out.data(), {wire::kModifierLegion,
                   static_cast<std::uint16_t>(clear.size()), kVersion});
  unsigned char* const nonce = at + wire::kUwsgiHeaderBytes;
  unsigned char* const text = nonce + kNonceBytes;
  FEALTY_CHECK(RAND_bytes(nonce, kNonceBytes) == 1);
  const Context context(EVP_CIPHER_CTX_new());
  int bytes = 0;
  FEALTY_CHECK(
      EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key_.data(),
                         nonce) == 1 &&
      EVP_EncryptUpdate(context.get(), nullptr, &bytes, at,
                        wire::kUwsgiHeaderBytes) == 1 &&
      EVP_EncryptUpdate(context.get(), text, &bytes, bytes_of(clear),
                        static_cast<int>(clear.size())) == 1 &&
      EVP_EncryptFinal_ex(context.get(), text + bytes, &bytes) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTagBytes,
                          text + clear.size()) == 1);
  return out;
}

std::optional<std::string> SealedWire::open(std::string_view datagram) const {
  if (!is_sealed(datagram) || datagram.size() < kOverheadBytes) {
    return std::nullopt;
  }
  const std::size_t clear_bytes = datagram.size() - kOverheadBytes;
  if (wire::decode_uwsgi_header(datagram)->data_bytes != clear_bytes) {
    return std::nullopt;
  }
  const unsigned char* const at = bytes_of(datagram);
  const unsigned char* const nonce = at + wire::kUwsgiHeaderBytes;
  const unsigned char* const text = nonce + kNonceBytes;
  std::string tag(datagram.substr(datagram.size() - kTagBytes));
  std::string clear(clear_bytes, '\0');
  const Context context(EVP_CIPHER_CTX_new());
  int bytes = 0;
  if (EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key_.data(),
                         nonce) != 1 ||
      EVP_DecryptUpdate(context.get(), nullptr, &bytes, at,
                        wire::kUwsgiHeaderBytes) != 1 ||
      EVP_DecryptUpdate(context.get(),
                        reinterpret_cast<unsigned char*>(clear.data()), &bytes,
                        text, static_cast<int>(clear_bytes)) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTagBytes,
                          tag.data()) != 1) {
    return std::nullopt;
  }
  unsigned char rest[EVP_MAX_BLOCK_LENGTH];
  if (EVP_DecryptFinal_ex(context.get(), rest, &bytes) != 1) {
    return std::nullopt;
  }
  return clear;
}

}  // namespace fealty::legion
