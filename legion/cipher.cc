#include "legion/cipher.h"

#include <openssl/evp.h>
#include <openssl/provider.h>

#include <algorithm>

#include "base/check.h"
#include "wire/uwsgi_packet.h"

namespace fealty::legion {
namespace {

// What uWSGI fills a short IV with.
constexpr char kIvFiller = '0';

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const {
    EVP_CIPHER_CTX_free(context);
  }
};

// A library context of its own, so that the legacy algorithms are there for
// Legion packets and for nothing else. Lives as long as the process.
OSSL_LIB_CTX* library() {
  static OSSL_LIB_CTX* const context = [] {
    OSSL_LIB_CTX* const made = OSSL_LIB_CTX_new();
    FEALTY_CHECK(made != nullptr);
    OSSL_PROVIDER_load(made, "default");
    OSSL_PROVIDER_load(made, "legacy");  // without it, bf-cbc is refused by name
    return made;
  }();
  return context;
}

bool carries(const EVP_CIPHER* cipher) {
  switch (EVP_CIPHER_get_mode(cipher)) {
    case EVP_CIPH_ECB_MODE:
    case EVP_CIPH_CBC_MODE:
    case EVP_CIPH_CFB_MODE:
    case EVP_CIPH_OFB_MODE:
    case EVP_CIPH_CTR_MODE:
      return EVP_CIPHER_get_key_length(cipher) > 0;
    default: return false;
  }
}

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes_of(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

}  // namespace

void UwsgiCipher::Free::operator()(evp_cipher_st* cipher) const {
  EVP_CIPHER_free(cipher);
}

Result<UwsgiCipher> UwsgiCipher::make(std::string_view name,
                                      std::string_view secret,
                                      std::string_view iv) {
  UwsgiCipher made;
  const std::string text(name);
  made.cipher_.reset(EVP_CIPHER_fetch(library(), text.c_str(), nullptr));
  if (!made.cipher_) {
    return Error{"OpenSSL has no cipher '" + text +
                 "' (its legacy provider was asked too)"};
  }
  if (!carries(made.cipher_.get())) {
    return Error{"the cipher '" + text +
                 "' is of a mode that uWSGI's packets cannot carry: use a CBC "
                 "one, such as aes-128-cbc"};
  }
  made.key_.assign(secret);
  made.key_.resize(
      static_cast<std::size_t>(EVP_CIPHER_get_key_length(made.cipher_.get())),
      '\0');
  made.iv_.assign(iv);
  made.iv_.resize(
      static_cast<std::size_t>(EVP_CIPHER_get_iv_length(made.cipher_.get())),
      kIvFiller);
  return made;
}

bool UwsgiCipher::crypt(bool encrypt, std::string_view in,
                        std::string& out) const {
  const std::unique_ptr<EVP_CIPHER_CTX, FreeContext> context(
      EVP_CIPHER_CTX_new());
  FEALTY_CHECK(context != nullptr);
  out.resize(in.size() + EVP_MAX_BLOCK_LENGTH);
  int head = 0;
  int tail = 0;
  if (EVP_CipherInit_ex2(context.get(), cipher_.get(), bytes_of(key_),
                         iv_.empty() ? nullptr : bytes_of(iv_),
                         encrypt ? 1 : 0, nullptr) != 1 ||
      EVP_CipherUpdate(context.get(), bytes_of(out), &head, bytes_of(in),
                       static_cast<int>(in.size())) != 1 ||
      EVP_CipherFinal_ex(context.get(), bytes_of(out) + head, &tail) != 1) {
    return false;
  }
  out.resize(static_cast<std::size_t>(head) + static_cast<std::size_t>(tail));
  return true;
}

std::string UwsgiCipher::seal(std::string_view clear) const {
  FEALTY_CHECK(clear.size() <= wire::kUwsgiDataBytesMax);
  std::string datagram(wire::kUwsgiHeaderBytes, '\0');
  wire::encode_uwsgi_header(datagram.data(),
                            {wire::kModifierLegion,
                             static_cast<std::uint16_t>(clear.size()), 0});
  std::string text;
  FEALTY_CHECK(crypt(true, clear, text));
  return datagram + text;
}

std::optional<std::string> UwsgiCipher::open(std::string_view datagram) const {
  const auto header = wire::decode_uwsgi_header(datagram);
  if (!header || header->modifier1 != wire::kModifierLegion ||
      header->modifier2 != 0) {
    return std::nullopt;
  }
  const std::string_view text = datagram.substr(wire::kUwsgiHeaderBytes);
  // At most one block of padding: what says otherwise is not worth decrypting.
  if (header->data_bytes > text.size() ||
      text.size() - header->data_bytes > EVP_MAX_BLOCK_LENGTH) {
    return std::nullopt;
  }
  std::string clear;
  if (!crypt(false, text, clear) || clear.size() != header->data_bytes) {
    return std::nullopt;
  }
  return clear;
}

}  // namespace fealty::legion
