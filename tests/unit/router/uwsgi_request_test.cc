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
  std::string forward(bool trusted) {
    UwsgiForward how;
    how.peer_trusted = trusted;
    return forward(how);
  }
  std::string forward(const UwsgiForward& how) {
    std::vector<char> out(wire::kUwsgiPacketBytesMax);
    std::size_t bytes = 0;
    EXPECT_EQ(forward_uwsgi_request(request_, how, out, bytes), Encoded::kOk);
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

TEST_F(UwsgiRequestTest, HostOfHttpNodesIsAHostWhateverTheKey) {
  const Pairs base = {{"REQUEST_METHOD", "GET"}, {"REQUEST_URI", "/"},
                      {"UWSGI_FASTROUTER_KEY", "good"}};
  for (const char* name : {"SERVER_NAME", "HTTP_HOST"}) {
    for (const char* value :
         {"x\r\nX-Client-DN: /CN=root", "a b", "x/y", "user@x", "x:y"}) {
      Pairs pairs = base;
      pairs.emplace_back(name, value);
      EXPECT_EQ(parse(pairs, false), 400) << name << " " << value;
    }
  }
  EXPECT_EQ(parse(base, false), 0);
}

TEST_F(UwsgiRequestTest, TargetIsAPathOrTheStarOfOptions) {
  const auto asked = [&](const char* method, const char* uri) {
    return parse({{"REQUEST_METHOD", method}, {"REQUEST_URI", uri}}, false);
  };
  EXPECT_EQ(asked("GET", "http://other.test/"), 400);
  EXPECT_EQ(asked("GET", "other.test:80"), 400);
  EXPECT_EQ(asked("GET", "?a"), 400);
  EXPECT_EQ(asked("GET", "*"), 400);
  EXPECT_EQ(asked("CONNECT", "other.test:80"), 501);
  EXPECT_EQ(asked("CONNECT", "/"), 501);
  EXPECT_EQ(asked("OPTIONS", "*"), 0);
  EXPECT_EQ(asked("GET", "/"), 0);
}

TEST_F(UwsgiRequestTest, WithoutAUriTheTargetIsMadeOfPathAndQuery) {
  ASSERT_EQ(parse({{"REQUEST_METHOD", "GET"}, {"PATH_INFO", "/a b?\xc3%"},
                   {"QUERY_STRING", "c=%20"}},
                  false),
            0);
  EXPECT_EQ(head_.uri, "/a%20b%3F%C3%25?c=%20");
  EXPECT_EQ(head_.path, "/a%20b%3F%C3%25");
  EXPECT_EQ(head_.query, "c=%20");
  EXPECT_EQ(request_.path_info, "/a b?\xc3%");
  EXPECT_EQ(parse({{"REQUEST_METHOD", "GET"}, {"QUERY_STRING", "a b"}}, false),
            400);
  EXPECT_EQ(parse({{"REQUEST_METHOD", "GET"},
                   {"PATH_INFO", "/" + std::string(60'000, '%')}},
                  false),
            431);
  ASSERT_EQ(parse({}), 0);
  EXPECT_EQ(request_.path_info.data(), nullptr);
}

TEST_F(UwsgiRequestTest, BodyNeedsItsLength) {
  EXPECT_EQ(parse({{"HTTP_TRANSFER_ENCODING", "chunked"}}), 411);
  EXPECT_EQ(parse({{"HTTP_TRANSFER_ENCODING", "chunked"},
                   {"CONTENT_LENGTH", ""}}),
            411);
  // As nginx says it of a body that it has collected.
  EXPECT_EQ(parse({{"HTTP_TRANSFER_ENCODING", "chunked"},
                   {"CONTENT_LENGTH", "3"}}),
            0);
}

TEST_F(UwsgiRequestTest, WebSocketIsAskedForAsHttpDoes) {
  ASSERT_EQ(parse({{"HTTP_CONNECTION", "keep-alive, Upgrade"},
                   {"HTTP_UPGRADE", "websocket"}}),
            0);
  EXPECT_TRUE(head_.asks_for_websocket());
  ASSERT_EQ(parse({{"HTTP_CONNECTION", "close"}, {"HTTP_UPGRADE", "websocket"}}),
            0);
  EXPECT_FALSE(head_.asks_for_websocket());
  ASSERT_EQ(parse({{"HTTP_CONNECTION", "Upgrade"}}), 0);
  EXPECT_FALSE(head_.asks_for_websocket());
}

TEST_F(UwsgiRequestTest, EqualNamesHaveEqualHashes) {
  ASSERT_EQ(parse({{"HTTP_X_A", "1"}, {"HTTP_x_a", "2"}}), 0);
  const auto count = head_.field_count;
  EXPECT_EQ(head_.fields[count - 1].name_hash, http::hash_name("X-A"));
  EXPECT_EQ(head_.fields[count - 2].name_hash, http::hash_name("X-A"));
  EXPECT_TRUE(head_.names_may_repeat);
}

TEST_F(UwsgiRequestTest, ClientIsAnAddressOrNobody) {
  const auto client = [&](const char* address, const char* port) {
    EXPECT_EQ(parse({{"REMOTE_ADDR", address}, {"REMOTE_PORT", port}}), 0);
    return std::string(request_.remote_addr) + " " +
           std::string(request_.remote_port);
  };
  EXPECT_EQ(client("192.0.2.7", "4711"), "192.0.2.7 4711");
  EXPECT_EQ(client("2001:db8::1", "65535"), "2001:db8::1 65535");
  EXPECT_EQ(client("192.0.2.0/24", "65536"), " ");
  EXPECT_EQ(client("unix:", "47\n1"), " ");
}

TEST_F(UwsgiRequestTest, RoutersOwnClientTakesThePlaceOfOneNotBelieved) {
  ASSERT_EQ(parse({{"REMOTE_ADDR", "192.0.2.7"}, {"REMOTE_PORT", "1"}}), 0);
  UwsgiForward how;
  how.own_client = true;
  how.remote_addr = "192.0.2.9";
  how.remote_port = "2";
  const std::string forwarded = forward(how);
  ASSERT_EQ(parse({{"REMOTE_ADDR", "192.0.2.9"}, {"REMOTE_PORT", "2"}}), 0);
  EXPECT_EQ(forwarded, data_);
}

TEST_F(UwsgiRequestTest, FixedVariablesComeOnce) {
  ASSERT_EQ(parse({{"REGION", "theirs"}, {"REGION", "theirs"}}), 0);
  const ExtraVariables extra = {{"REGION", "ours"}};
  UwsgiForward how;
  how.extra = &extra;
  const std::string forwarded = forward(how);
  ASSERT_EQ(parse({{"REGION", "ours"}}), 0);
  EXPECT_EQ(forwarded, data_);
}

TEST_F(UwsgiRequestTest, OnlyTheTrustedSayWhatToRun) {
  for (const char* name :
       {"UWSGI_FILE", "UWSGI_SCRIPT", "UWSGI_MODULE", "UWSGI_CHDIR",
        "UWSGI_PYHOME", "UWSGI_SETENV", "UWSGI_SCHEME", "DOCUMENT_ROOT",
        "SCRIPT_FILENAME", "REQUEST_SCHEME", "REMOTE_USER", "SSL_CLIENT_S_DN"}) {
    ASSERT_EQ(parse({{name, "exec:///bin/id"}}), 0);
    EXPECT_EQ(forward(true), data_) << name;
    const std::string forwarded = forward(false);
    ASSERT_EQ(parse({}), 0);
    EXPECT_EQ(forwarded, data_) << name;
  }
  ASSERT_EQ(parse({{"UWSGI_ROUTER", "http"}, {"UWSGI_FASTROUTER_KEY", "k"}}),
            0);
  EXPECT_EQ(forward(false), data_);
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
                   {"HTTP_TRANSFER_ENCODING", "chunked"},
                   {"CONTENT_LENGTH", "1"}}),
            0);
  const std::string forwarded = forward(true);
  ASSERT_EQ(parse({{"CONTENT_LENGTH", "1"}}), 0);
  EXPECT_EQ(forwarded, data_);
}

}  // namespace
}  // namespace fealty::router
