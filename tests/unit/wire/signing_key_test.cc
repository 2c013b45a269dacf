#include "wire/signing_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "support.h"

namespace fealty::wire {
namespace {

using test::vector_file;
using testing::HasSubstr;

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Bio = std::unique_ptr<BIO, Free>;

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string private_pem(EVP_PKEY* key, const char* passphrase = nullptr) {
  const Bio bio(BIO_new(BIO_s_mem()));
  const int length =
      passphrase == nullptr ? 0 : static_cast<int>(std::strlen(passphrase));
  EXPECT_EQ(PEM_write_bio_PKCS8PrivateKey(
                bio.get(), key,
                passphrase == nullptr ? nullptr : EVP_aes_128_cbc(), passphrase,
                length, nullptr, nullptr),
            1);
  return text_of(bio.get());
}

Key rsa(std::size_t bits) {
  return Key(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", bits));
}
Key ec(const char* curve) {
  return Key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve));
}
Key of_type(const char* type) {
  return Key(EVP_PKEY_Q_keygen(nullptr, nullptr, type));
}

bool verifies(EVP_PKEY* key, const char* digest, std::string_view bytes,
              std::string_view signature) {
  const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  const auto at = [](std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
  };
  return EVP_DigestVerifyInit_ex(context.get(), nullptr, digest, nullptr,
                                 nullptr, key, nullptr) == 1 &&
         EVP_DigestVerify(context.get(), at(signature), signature.size(),
                          at(bytes), bytes.size()) == 1;
}

std::string why_not(std::string_view pem) {
  const auto key = SigningKey::parse(pem, Digest::kSha1);
  return key ? "taken" : key.error().message;
}

TEST(Digest, IsReadInEitherCase) {
  EXPECT_EQ(parse_digest("SHA1"), Digest::kSha1);
  EXPECT_EQ(parse_digest("sha256"), Digest::kSha256);
  EXPECT_EQ(parse_digest("Sha512"), Digest::kSha512);
  for (const char* const none : {"", "SHA", "SHA-1", "MD5", "SHA1 ", "SHA2567"}) {
    EXPECT_FALSE(parse_digest(none)) << none;
  }
}

TEST(SigningKey, SignsWithEveryKeyTypeAndDigest) {
  const std::string bytes = "what is signed";
  for (const Digest digest :
       {Digest::kSha1, Digest::kSha256, Digest::kSha512}) {
    for (const auto& [name, key] :
         {std::pair{"RSA-2048", rsa(2048).release()},
          std::pair{"EC prime256v1", ec("P-256").release()},
          std::pair{"EC secp521r1", ec("P-521").release()},
          std::pair{"ED25519", of_type("ED25519").release()},
          std::pair{"ED448", of_type("ED448").release()}}) {
      const Key owner(key);
      const auto signer = SigningKey::parse(private_pem(key), digest);
      ASSERT_TRUE(signer) << name;
      EXPECT_EQ(signer->description(), name);
      const auto signature = signer->sign(bytes);
      ASSERT_TRUE(signature) << name;
      const bool own_digest = std::string_view(name).starts_with("ED");
      const std::string digest_name(to_string(digest));
      EXPECT_TRUE(verifies(key, own_digest ? nullptr : digest_name.c_str(),
                           bytes, *signature))
          << name << ' ' << digest_name;
    }
  }
}

// What uWSGI signs with: the captured packets' key.
TEST(SigningKey, ReadsTheTraditionalRsaForm) {
  const auto key =
      SigningKey::parse(vector_file("customer.key"), Digest::kSha1);
  ASSERT_TRUE(key);
  EXPECT_EQ(key->public_pem(), vector_file("customer.pub"));
}

TEST(SigningKey, SaysWhatIsNoKeyAndWhatToDo) {
  const Key key = rsa(2048);
  EXPECT_THAT(why_not(""), HasSubstr("no private key in PEM"));
  EXPECT_THAT(why_not("junk"), HasSubstr("no private key in PEM"));
  EXPECT_THAT(why_not(private_pem(key.get(), "secret")),
              HasSubstr("encrypted"));
  EXPECT_THAT(why_not(vector_file("customer.pub")), HasSubstr("public half"));
  EXPECT_THAT(why_not("-----BEGIN CERTIFICATE-----\nAAAA\n"
                      "-----END CERTIFICATE-----\n"),
              HasSubstr("a certificate"));
}

TEST(SigningKey, RefusesWhatRoutersDo) {
  EXPECT_THAT(why_not(private_pem(of_type("X25519").get())),
              HasSubstr("neither an RSA, nor an EC, nor an Ed25519 key"));
}

}  // namespace
}  // namespace fealty::wire
