#include "api/identity.h"

#include <gtest/gtest.h>

#include "api/metrics.h"

namespace fealty::api {
namespace {

TEST(MakeUuid, IsAVersionFourOne) {
  const std::string uuid = make_uuid();
  ASSERT_EQ(uuid.size(), 36U);
  EXPECT_EQ(uuid[14], '4');
  EXPECT_NE(std::string("89ab").find(uuid[19]), std::string::npos);
  EXPECT_NE(uuid, make_uuid());
}

TEST(MakeRsaPair, IsInTheFormsThatUwsgiReads) {
  const auto pair = make_rsa_pair();
  ASSERT_TRUE(pair);
  EXPECT_EQ(pair->private_pem.rfind("-----BEGIN RSA PRIVATE KEY-----", 0), 0U);
  EXPECT_EQ(pair->public_pem.rfind("-----BEGIN PUBLIC KEY-----", 0), 0U);
}

TEST(ContainerIp, IsTheNumberAndTwo) {
  EXPECT_EQ(container_ip(9), "10.0.0.11");
  EXPECT_EQ(container_ip(254), "10.0.1.0");
  EXPECT_EQ(container_ip(65'534), "10.1.0.0");
}

TEST(HostnameOf, KeepsLettersDigitsAndHyphens) {
  EXPECT_EQ(hostname_of("my app_1.x-Y"), "my-app-1-x-Y");
}

TEST(FindMetric, KnowsNamesAndNoOthers) {
  EXPECT_EQ(find_metric("container.cpu")->number, 4);
  EXPECT_TRUE(find_metric("domain.hits")->of_domain);
  for (const char* name : {"", "cpu", "container.", "container.hits", "domain.cpu"}) {
    EXPECT_FALSE(find_metric(name)) << name;
  }
}

}  // namespace
}  // namespace fealty::api
