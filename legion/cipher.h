#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

struct evp_cipher_st;

namespace fealty::legion {

// The encryption of real uWSGI's Legion packets:
//
//   datagram = 109:u8  clear_bytes:u16le  0:u8  EVP cipher text (PKCS#7 padded)
//
// The key is the secret, cut or zero-padded to the cipher's key length; the IV
// is the one that is given, cut or padded with the character '0'. It neither
// authenticates nor varies (docs/threat-model.md): use the sealed wire where no
// uWSGI is a member. Pure; one thread at a time.
class UwsgiCipher {
 public:
  // `name` as OpenSSL has it ("aes-128-cbc", "bf-cbc", ...), the legacy
  // provider's included. Fails for names that OpenSSL does not know and for
  // modes that this format cannot carry.
  [[nodiscard]] static Result<UwsgiCipher> make(std::string_view name,
                                                std::string_view secret,
                                                std::string_view iv);

  [[nodiscard]] std::string seal(std::string_view clear) const;
  // Empty where the datagram is not of this form, does not decrypt, or is not
  // as long as it says.
  [[nodiscard]] std::optional<std::string> open(std::string_view datagram) const;

 private:
  struct Free {
    void operator()(evp_cipher_st* cipher) const;
  };
  UwsgiCipher() = default;
  [[nodiscard]] bool crypt(bool encrypt, std::string_view in,
                           std::string& out) const;

  std::unique_ptr<evp_cipher_st, Free> cipher_;
  std::string key_;
  std::string iv_;
};

}  // namespace fealty::legion
