#include "sni/first_bytes.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace fealty::sni {
namespace {

FirstBytes judge(const std::string& text) {
  return judge_first_bytes(
      {reinterpret_cast<const unsigned char*>(text.data()), text.size()});
}
FirstBytes judge_bytes(const std::vector<unsigned char>& bytes) {
  return judge_first_bytes(bytes);
}

TEST(FirstBytes, ClientHelloIsTls) {
  EXPECT_EQ(judge_bytes({22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}), FirstBytes::kTls);
  EXPECT_EQ(judge_bytes({22, 3, 3, 64, 0, 1, 0, 64, 0}), FirstBytes::kTls);
}

TEST(FirstBytes, ClientHelloOverTheBoundIsOversized) {
  EXPECT_EQ(judge_bytes({22, 3, 1, 64, 0, 1, 0, 64, 1}), FirstBytes::kOversized);
  EXPECT_EQ(judge_bytes({22, 3, 1, 0, 4, 1, 255, 255, 255}), FirstBytes::kOversized);
}

TEST(FirstBytes, ClientHelloWhoseSizeTheFirstRecordDoesNotTellIsOversized) {
  EXPECT_EQ(judge_bytes({22, 3, 1, 0, 2, 1, 0, 22, 3}), FirstBytes::kOversized);
  EXPECT_EQ(judge_bytes({22, 3, 1, 0, 3}), FirstBytes::kOversized);
  EXPECT_EQ(judge_bytes({22, 3, 1, 0, 4}), FirstBytes::kMore);
}

TEST(FirstBytes, TooFewDoNotTell) {
  EXPECT_EQ(judge(""), FirstBytes::kMore);
  EXPECT_EQ(judge_bytes({22}), FirstBytes::kMore);
  EXPECT_EQ(judge_bytes({22, 3, 1, 2, 0, 1, 0, 1}), FirstBytes::kMore);
  EXPECT_EQ(judge("GET"), FirstBytes::kMore);
}

TEST(FirstBytes, MethodIsHttp) {
  EXPECT_EQ(judge("GET / HTTP/1.1\r\n"), FirstBytes::kHttp);
  EXPECT_EQ(judge("GET "), FirstBytes::kHttp);
  EXPECT_EQ(judge("PROPPATCH /"), FirstBytes::kHttp);
  EXPECT_EQ(judge("VERSION-CONTROL /"), FirstBytes::kHttp);
}

TEST(FirstBytes, AnythingElseIsNeither) {
  EXPECT_EQ(judge("PROXY\r\n"), FirstBytes::kNeither);
  EXPECT_EQ(judge(" GET /"), FirstBytes::kNeither);
  EXPECT_EQ(judge_bytes({22, 2, 0}), FirstBytes::kNeither);
  EXPECT_EQ(judge_bytes({22, 3, 1, 2, 0, 2}), FirstBytes::kNeither);
  EXPECT_EQ(judge_bytes({21, 3, 1, 0, 2, 1, 0}), FirstBytes::kNeither);
  EXPECT_EQ(judge_bytes({0x80, 0x2e, 1, 3, 1}), FirstBytes::kNeither);
}

}  // namespace
}  // namespace fealty::sni
