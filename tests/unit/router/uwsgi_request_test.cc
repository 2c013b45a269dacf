#include "router/uwsgi_request.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "wire/uwsgi_packet.h"

namespace fealty::router {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

std::string encode(const Pairs& pairs) {
  std::vector<char> out(wire::kUwsgiPacketBytesMax);
  wire::UwsgiWriter writer(out);
  for (const auto& [key, value] : pairs) writer.add(key, value);
  const auto packet = writer.finish(0, 0);
  return {packet.begin() + wire::kUwsgiHeaderBytes, packet.end()};
}

class UwsgiRequestTest : public testing::Test {
 protected:
  int parse(const Pairs& more, bool with_base = true) {
    Pairs pairs;
    if (with_base) {
      pairs = {{"REQUEST_METHOD", "GET"}, {"REQUEST_URI", "/a%20b?c=d"},
               {"HTTP_HOST", "Example.com:81"}, {"SERVER_NAME", "name"}};
    }
    pairs.insert(pairs.end(), more.begin(), more.end());
    data_ = encode(pairs);
    return parse_uwsgi_request(data_, names_, request_, head_).status;
  }
  std::string forward(bool believes) {
    std::vector<char> out(wire::kUwsgiPacketBytesMax);
    std::size_t bytes = 0;
    EXPECT_EQ(forward_uwsgi_request(request_, believes, {}, out, bytes),
              Encoded::kOk);
    return {out.data() + wire::kUwsgiHeaderBytes,
            bytes - wire::kUwsgiHeaderBytes};
  }

  std::string data_;
  std::vector<char> names_ = std::vector<char>(kHeaderNamesBytesMax);
  UwsgiRequest request_;
  http::RequestHead head_;
};

TEST_F(UwsgiRequestTest, HeadIsWhatHttpWouldHaveGiven) {
  ASSERT_EQ(parse({{"HTTP_X_MORE_OF_IT", "yes"}, {"CONTENT_TYPE", "a/b"},
                   {"CONTENT_LENGTH", "12"}}),
            0);
  EXPECT_EQ(head_.method, "GET");
  EXPECT_EQ(head_.path, "/a%20b");
  EXPECT_EQ(head_.query, "c=d");
  EXPECT_EQ(head_.authority, "Example.com:81");
  EXPECT_EQ(head_.framing, http::BodyFraming::kLength);
  EXPECT_EQ(head_.content_length, 12U);
  EXPECT_FALSE(head_.keep_alive);
  ASSERT_EQ(head_.field_count, 3U);
  EXPECT_EQ(head_.fields[1].name, "x-more-of-it");
  EXPECT_EQ(head_.fields[2].name, "content-type");
}

TEST_F(UwsgiRequestTest, KeyIsTheFastroutersElseTheHostElseTheName) {
  ASSERT_EQ(parse({}), 0);
  EXPECT_EQ(request_.key, "Example.com:81");
  ASSERT_EQ(parse({{"UWSGI_FASTROUTER_KEY", "key"}}), 0);
  EXPECT_EQ(request_.key, "key");
  ASSERT_EQ(parse({{"REQUEST_METHOD", "GET"}, {"SERVER_NAME", "name"}}, false),
            0);
  EXPECT_EQ(request_.key, "name");
  EXPECT_EQ(head_.path, "/");
}

TEST_F(UwsgiRequestTest, WhatDecidesMayNotComeTwice) {
  for (const char* name : {"REQUEST_METHOD", "HTTP_HOST", "REQUEST_URI"}) {
    EXPECT_EQ(parse({{name, "/x"}}), 400) << name;
  }
  EXPECT_EQ(parse({{"CONTENT_LENGTH", "1"}, {"CONTENT_LENGTH", "2"}}), 400);
  EXPECT_EQ(parse({{"HTTPS", ""}, {"HTTPS", "on"}}), 400);
}

TEST_F(UwsgiRequestTest, WhatHttpCouldNotCarryIsRefused) {
  EXPECT_EQ(parse({{"HTTP_A", "b\r\nC: d"}}), 400);
  EXPECT_EQ(parse({{"HTTP_", "b"}}), 400);
  EXPECT_EQ(parse({{"HTTP_A B", "c"}}), 400);
  EXPECT_EQ(parse({{"CONTENT_LENGTH", "+1"}}), 400);
  EXPECT_EQ(parse({{"CONTENT_LENGTH", "1 "}}), 400);
  EXPECT_EQ(parse({{"CONTENT_TYPE", "a\nb"}}), 400);
  EXPECT_EQ(parse({{"HTTPS_DN", "a\nb"}}), 400);
  EXPECT_EQ(parse({{"SERVER_NAME", "a"}}, false), 400);  // no method
}

TEST_F(UwsgiRequestTest, TooManyHeadersAre431) {
  Pairs many;
  for (std::size_t i = 0; i < http::RequestHead::kFieldsMax; ++i) {
    many.emplace_back("HTTP_X" + std::to_string(i), "1");
  }
  EXPECT_EQ(parse(many), 431);
}

TEST_F(UwsgiRequestTest, PairsGoOnAsTheyCame) {
  ASSERT_EQ(parse({{"HTTPS", "on"}, {"HTTPS_DN", "/CN=me"}, {"OWN", "\x01"}}),
            0);
  EXPECT_EQ(forward(true), data_);
  EXPECT_TRUE(request_.https);
  EXPECT_EQ(request_.client_subject, "/CN=me");
}

TEST_F(UwsgiRequestTest, WhatIsNotBelievedIsTakenOut) {
  ASSERT_EQ(parse({{"HTTPS", "on"}, {"HTTPS_CC", "x"}, {"HTTPSX", "stays"}}), 0);
  const std::string forwarded = forward(false);
  ASSERT_EQ(parse({{"HTTPSX", "stays"}}), 0);
  EXPECT_EQ(forwarded, data_);
}

TEST_F(UwsgiRequestTest, ForgeriesAreTakenOutWhoeverSendsThem) {
  ASSERT_EQ(parse({{"HTTP_PROXY", "x"}, {"HTTP_X_CLIENT_DN", "x"},
                   {"HTTP_TRANSFER_ENCODING", "chunked"}}),
            0);
  const std::string forwarded = forward(true);
  ASSERT_EQ(parse({}), 0);
  EXPECT_EQ(forwarded, data_);
}

}  // namespace
}  // namespace fealty::router
