#include "cli/materials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "support.h"

namespace fealty::cli {
namespace {

using testing::HasSubstr;

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;

template <typename Write>
std::string pem(Write write) {
  const std::unique_ptr<BIO, Free> bio(BIO_new(BIO_s_mem()));
  EXPECT_EQ(write(bio.get()), 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string key_pem(EVP_PKEY* key) {
  return pem([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key, nullptr, nullptr, 0, nullptr,
                                         nullptr);
  });
}

std::string certificate_pem(EVP_PKEY* key) {
  const std::unique_ptr<X509, Free> certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key);
  EXPECT_GT(X509_sign(certificate.get(), key, EVP_sha256()), 0);
  return pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); });
}

Key new_key() { return Key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")); }

class MaterialsTest : public testing::Test {
 protected:
  Plan plan_for(bool embed) {
    SubscribeArguments arguments = test::typed();
    arguments.sign = "SHA256:" + sign_;
    arguments.sni_key = key_;
    arguments.sni_crt = crt_;
    arguments.sni_ca = "!" + ca_;
    arguments.embed_sni = embed;
    return test::planned(arguments);
  }
  void write_identity() {
    const Key key = new_key();
    test::write_file(sign_, key_pem(key.get()));
    test::write_file(key_, key_pem(key.get()));
    test::write_file(crt_, certificate_pem(key.get()));
    test::write_file(ca_, certificate_pem(key.get()));
  }
  static std::string why(const Status& status) {
    return status ? "fine" : status.error().message;
  }

  test::TempDir directory_;
  std::string sign_ = directory_ / "sign.pem";
  std::string key_ = directory_ / "key.pem";
  std::string crt_ = directory_ / "crt.pem";
  std::string ca_ = directory_ / "ca.pem";
};

TEST_F(MaterialsTest, PathsGoOutAsPaths) {
  write_identity();
  const Plan plan = plan_for(false);
  Materials materials(plan);
  ASSERT_TRUE(materials.load());
  ASSERT_NE(materials.key(), nullptr);
  wire::SubscriptionPacket packet;
  materials.fill(packet);
  EXPECT_EQ(packet.sni_key, key_);
  EXPECT_EQ(packet.sni_crt, crt_);
  EXPECT_EQ(packet.sni_ca, "!" + ca_);
}

TEST_F(MaterialsTest, EmbeddedTextsGoOutAndARenewalCounts) {
  write_identity();
  const Plan plan = plan_for(true);
  Materials materials(plan);
  ASSERT_TRUE(materials.load());
  wire::SubscriptionPacket before;
  materials.fill(before);
  EXPECT_THAT(before.sni_key, HasSubstr("PRIVATE KEY"));
  EXPECT_THAT(before.sni_crt, HasSubstr("BEGIN CERTIFICATE"));
  EXPECT_THAT(before.sni_ca, testing::StartsWith("!-----BEGIN CERTIFICATE"));
  write_identity();
  ASSERT_TRUE(materials.load());
  wire::SubscriptionPacket after;
  materials.fill(after);
  EXPECT_NE(after.sni_crt, before.sni_crt);
}

TEST_F(MaterialsTest, WhatCannotBeReadAnyMoreStaysInUse) {
  write_identity();
  const Plan plan = plan_for(true);
  Materials materials(plan);
  ASSERT_TRUE(materials.load());
  wire::SubscriptionPacket before;
  materials.fill(before);
  test::write_file(key_, "half a key");
  std::filesystem::remove(sign_);
  EXPECT_THAT(why(materials.load()), HasSubstr("--sign"));
  EXPECT_NE(materials.key(), nullptr);
  wire::SubscriptionPacket after;
  materials.fill(after);
  EXPECT_EQ(after.sni_key, before.sni_key);
}

TEST_F(MaterialsTest, SaysWhichFileIsWrongAndWhy) {
  write_identity();
  const Plan plan = plan_for(true);
  Materials materials(plan);
  test::write_file(ca_, "junk");
  EXPECT_THAT(why(materials.load()), HasSubstr("--sni-ca"));
  test::write_file(key_, key_pem(new_key().get()));
  EXPECT_THAT(why(materials.load()), HasSubstr("not the key of"));
  test::write_file(key_, "junk");
  EXPECT_THAT(why(materials.load()), HasSubstr("no private key"));
  test::write_file(sign_, "junk");
  EXPECT_THAT(why(materials.load()), HasSubstr("--sign: " + sign_));
  test::write_file(sign_, "junk", 0644);
  EXPECT_THAT(why(materials.load()), HasSubstr("chmod 600"));
}

}  // namespace
}  // namespace fealty::cli
