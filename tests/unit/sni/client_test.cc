#include "sni/client.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "support.h"

namespace fealty::sni {
namespace {

std::string subject(std::vector<std::pair<std::string, std::string>> entries) {
  test::Wish wish;
  wish.subject = std::move(entries);
  const auto made = test::make_certificate(wish);
  return subject_of(made.certificate.get()).value_or("none");
}

TEST(SubjectOf, IsOneLineOfShortNames) {
  EXPECT_EQ(subject({{"C", "IT"}, {"O", "Foo"}, {"CN", "bar"}}),
            "/C=IT/O=Foo/CN=bar");
  EXPECT_EQ(subject({{"emailAddress", "a@b.c"}}), "/emailAddress=a@b.c");
  EXPECT_EQ(subject({{"1.2.3.4.5", "x"}}), "/1.2.3.4.5=x");
  EXPECT_EQ(subject({}), "");
}

// OpenSSL's X509_NAME_oneline would make "/CN=a/CN=root" of it.
TEST(SubjectOf, ValueCannotPoseAsAnotherAttribute) {
  EXPECT_EQ(subject({{"CN", "a/CN=root"}}), "/CN=a\\x2FCN=root");
  EXPECT_EQ(subject({{"CN", "a\\x2Fb"}}), "/CN=a\\x5Cx2Fb");
}

TEST(SubjectOf, ControlsAndOtherBytesAreEscaped) {
  EXPECT_EQ(subject({{"CN", "a\r\nX-Evil: 1\x7f"}}),
            "/CN=a\\x0D\\x0AX-Evil: 1\\x7F");
  EXPECT_EQ(subject({{"CN", std::string("a\0b", 3)}}), "/CN=a\\x00b");
  EXPECT_EQ(subject({{"CN", "ü"}}), "/CN=\\xC3\\xBC");
}

TEST(SubjectOf, WhatIsTooLongIsNotCut) {
  std::vector<std::pair<std::string, std::string>> entries(
      19, {"OU", std::string(48, 'x')});
  EXPECT_EQ(subject(entries).size(), 19U * 52);
  entries.emplace_back("OU", std::string(40, 'y'));
  EXPECT_EQ(subject(entries), "none");
}

TEST(CertificateText, PemAndDerAreTheCertificates) {
  const auto made = test::make_server("x");
  EXPECT_EQ(pem_of(made.certificate.get()), made.pem());
  const std::string der = der_of(made.certificate.get());
  const CertificatePtr again =
      parse_certificate({bytes_at(der), der.size()});
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(X509_cmp(again.get(), made.certificate.get()), 0);
}

}  // namespace
}  // namespace fealty::sni
