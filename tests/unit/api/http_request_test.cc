#include "api/http_request.h"

#include <gtest/gtest.h>

namespace fealty::api {
namespace {

class ReadRequest : public testing::Test {
 protected:
  Result<Request, Answer> read(const std::string& fields,
                               const std::string& target = "/api/me") {
    text_ = "GET " + target + " HTTP/1.1\r\n" + fields + "\r\n";
    const auto problem = http::parse_request_head(text_, head_);
    EXPECT_EQ(problem.status, 0) << problem.reason;
    return read_request(head_, peer_);
  }

  Peer peer_{Entrance::kPublic, *Address::parse("127.0.0.1:9"), true};
  std::string text_;
  http::RequestHead head_;
};

TEST_F(ReadRequest, DecodesPathAndQuery) {
  const auto request =
      read("Host: x\r\n", "/api/a%20b/?tags=a%2Cb+c&tags=d&&empty");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->path, "/api/a b/");
  EXPECT_EQ(request->query.size(), 3U);
  EXPECT_EQ(request->query[0].second, "a,b c");
  EXPECT_EQ(*request->asked("tags"), "d");
  EXPECT_EQ(*request->asked("empty"), "");
}

TEST_F(ReadRequest, RefusesWhatCannotBeDecoded) {
  for (const char* target : {"/%", "/%zz", "/%00", "/?a=%", "/?%0"}) {
    EXPECT_FALSE(read("Host: x\r\n", target)) << target;
  }
  EXPECT_FALSE(read("Host: x\r\n", "/" + std::string(kPathBytesMax, 'a')));
  std::string many = "/?a";
  for (std::size_t i = 0; i < kQueryKeysMax; ++i) many += "&a";
  EXPECT_FALSE(read("Host: x\r\n", many));
}

constexpr const char* kForwarded =
    "Host: x\r\nX-Forwarded-For: 9.9.9.9, 192.0.2.1\r\n"
    "X-Forwarded-Host: API.example.com:443\r\nX-Client-DN: /CN=a\r\n";

TEST_F(ReadRequest, BelievesTrustedPeersOnTheClient) {
  const auto request = read(kForwarded);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->address, "192.0.2.1");
  EXPECT_EQ(request->subject, "/CN=a");
  EXPECT_EQ(request->forwarded_host, "api.example.com");
  EXPECT_TRUE(request->passed_on);
}

TEST_F(ReadRequest, BelievesNobodyElse) {
  peer_.trusted = false;
  const auto request = read(kForwarded);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->address, "127.0.0.1");
  EXPECT_EQ(request->subject, "");
  EXPECT_EQ(request->forwarded_host, "");
}

TEST_F(ReadRequest, FieldsThatAreThereTwiceAreNotThere) {
  const auto request = read(
      "Host: x\r\nX-Client-DN: /CN=a\r\nx-client-dn: /CN=b\r\n"
      "X-Forwarded-Host: a.example\r\nX-Forwarded-Host: b.example\r\n");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->subject, "");
  EXPECT_EQ(request->forwarded_host, "");
}

TEST_F(ReadRequest, AdministrationByAPortIsAskedByNamesOfThisHost) {
  peer_.entrance = Entrance::kAdmin;
  for (const char* host : {"localhost", "127.0.0.1:80", "[::1]:80", "a.localhost"}) {
    EXPECT_FALSE(read("Host: " + std::string(host) + "\r\n")->passed_on) << host;
  }
  for (const char* host : {"rebound.example", "10.0.0.1", "localhost.example"}) {
    EXPECT_TRUE(read("Host: " + std::string(host) + "\r\n")->passed_on) << host;
  }
  peer_.address = *Address::parse("unix:/run/x");
  EXPECT_FALSE(read("Host: anything.example\r\n")->passed_on);
}

TEST(NetworkOf, IsTheAddressOrItsSubscribersPrefix) {
  EXPECT_EQ(network_of("192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(network_of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  EXPECT_EQ(network_of("2001:db8:1:2::9"), network_of("2001:db8:1:2:ffff::"));
  EXPECT_NE(network_of("2001:db8:1:2::9"), network_of("2001:db8:1:3::9"));
  EXPECT_EQ(network_of("no:address"), "no:address");
  EXPECT_EQ(network_of(""), "");
}

TEST(EncodeAnswer, EndsTheConnectionAndLeavesOutWhatHasNoBody) {
  Answer answer = not_found();
  answer.text = "{}\n";
  EXPECT_EQ(encode_answer(answer, false),
            "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n"
            "Content-Length: 3\r\nConnection: close\r\n\r\n{}\n");
  EXPECT_TRUE(encode_answer(answer, true).ends_with("\r\n\r\n"));
  answer.status = 304;
  EXPECT_EQ(encode_answer(answer, false).find("Content-"), std::string::npos);
}

}  // namespace
}  // namespace fealty::api
