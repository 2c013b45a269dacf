#include "legion/aead.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <memory>
#include <string>

#include "base/check.h"
#include "base/hkdf.h"

namespace fealty::legion {
namespace {

struct Free {
  void operator()(EVP_CIPHER_CTX* context) const {
    EVP_CIPHER_CTX_free(context);
  }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, Free>;

const unsigned char* bytes_of(const char* text) {
  return reinterpret_cast<const unsigned char*>(text);
}
unsigned char* bytes_of(char* text) {
  return reinterpret_cast<unsigned char*>(text);
}
int size_of(std::string_view text) { return static_cast<int>(text.size()); }

}  // namespace

Aead::Aead(std::string_view secret, std::string_view purpose) {
  derive_key(secret, purpose, key_);
}

Aead::~Aead() { OPENSSL_cleanse(key_.data(), key_.size()); }

void Aead::seal(const char* nonce, std::string_view head,
                std::string_view clear, char* out) const {
  const Context context(EVP_CIPHER_CTX_new());
  unsigned char* const text = bytes_of(out);
  int bytes = 0;
  FEALTY_CHECK(
      EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key_.data(),
                         bytes_of(nonce)) == 1 &&
      EVP_EncryptUpdate(context.get(), nullptr, &bytes, bytes_of(head.data()),
                        size_of(head)) == 1 &&
      EVP_EncryptUpdate(context.get(), text, &bytes, bytes_of(clear.data()),
                        size_of(clear)) == 1 &&
      EVP_EncryptFinal_ex(context.get(), text + bytes, &bytes) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTagBytes,
                          text + clear.size()) == 1);
}

bool Aead::open(const char* nonce, std::string_view head,
                std::string_view sealed, char* out) const {
  if (sealed.size() < kTagBytes) return false;
  const std::string_view text = sealed.substr(0, sealed.size() - kTagBytes);
  std::string tag(sealed.substr(text.size()));
  const Context context(EVP_CIPHER_CTX_new());
  unsigned char rest[EVP_MAX_BLOCK_LENGTH];
  int bytes = 0;
  return EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr,
                            key_.data(), bytes_of(nonce)) == 1 &&
         EVP_DecryptUpdate(context.get(), nullptr, &bytes,
                           bytes_of(head.data()), size_of(head)) == 1 &&
         EVP_DecryptUpdate(context.get(), bytes_of(out), &bytes,
                           bytes_of(text.data()), size_of(text)) == 1 &&
         EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTagBytes,
                             tag.data()) == 1 &&
         EVP_DecryptFinal_ex(context.get(), rest, &bytes) == 1;
}

}  // namespace fealty::legion
