#include "router/node_http.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "http/request_head.h"

namespace fealty::router {
namespace {

using http::BodyFraming;

constexpr std::string_view kForwarded =
    "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
    "X-Forwarded-Host: a.example\r\n";

// A request, parsed and encoded as its own framing says.
class Request {
 public:
  explicit Request(std::string text) : text_(std::move(text)) {
    EXPECT_EQ(http::parse_request_head(text_, head_).status, 0) << text_;
  }
  // Into a buffer of `room` bytes; empty where it was not encoded.
  std::string head(std::size_t room = 70'000,
                   std::string_view remote = "192.0.2.1") {
    return with({head_.framing, head_.content_length}, room, remote);
  }
  std::string with(const NodeBody& body, std::size_t room = 70'000,
                   std::string_view remote = "192.0.2.1") {
    std::vector<char> out(room);
    std::size_t bytes = 0;
    result = encode_http_request(head_, {remote, "4711", "8080", nullptr}, body,
                                 out, bytes);
    return result == Encoded::kOk ? std::string(out.data(), bytes) : "";
  }

  Encoded result = Encoded::kOk;

 private:
  std::string text_;
  http::RequestHead head_;
};

Request request(std::string_view line, std::string_view headers) {
  return Request(std::string(line) + " HTTP/1.1\r\nHost: a.example\r\n" +
                 std::string(headers) + "\r\n");
}
Request get(std::string_view headers, std::string_view target = "/") {
  return request("GET " + std::string(target), headers);
}
// What is sent of these headers, beside the router's own.
std::string passed(std::string_view headers) {
  const std::string all = get(headers).head();
  const std::string before = "GET / HTTP/1.1\r\nHost: a.example\r\n";
  const std::string after = std::string(kForwarded) + "\r\n";
  EXPECT_TRUE(all.starts_with(before) && all.ends_with(after)) << all;
  if (all.size() < before.size() + after.size()) return "(none)";
  return all.substr(before.size(), all.size() - before.size() - after.size());
}
std::string line_of(Request made) {
  const std::string all = made.head();
  return all.substr(0, all.find('\r'));
}

TEST(NodeHttp, PlainRequestIsThatRequestAndWhoSentIt) {
  EXPECT_EQ(get("Accept: */*\r\nUser-Agent: x y\r\n", "/p%20q?a=b").head(),
            "GET /p%20q?a=b HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n"
            "User-Agent: x y\r\n" +
                std::string(kForwarded) + "\r\n");
}

TEST(NodeHttp, TargetIsInOriginFormAndRaw) {
  EXPECT_EQ(line_of(get("", "/a/../%2e/b%00?x=%zz")),
            "GET /a/../%2e/b%00?x=%zz HTTP/1.1");
  EXPECT_EQ(line_of(get("", "http://b.example/p?q")), "GET /p?q HTTP/1.1");
  EXPECT_EQ(line_of(get("", "http://b.example")), "GET / HTTP/1.1");
  EXPECT_EQ(line_of(get("", "http://b.example?q")), "GET /?q HTTP/1.1");
  EXPECT_EQ(line_of(request("OPTIONS *", "")), "OPTIONS * HTTP/1.1");
}

TEST(NodeHttp, FragmentStaysWithTheRouter) {
  EXPECT_EQ(line_of(get("", "/p?q#f")), "GET /p?q HTTP/1.1");
}

TEST(NodeHttp, OldClientsRequestIsMadeANewOne) {
  EXPECT_EQ(Request("GET / HTTP/1.0\r\nHost: a.example\r\n\r\n").head(),
            "GET / HTTP/1.1\r\nHost: a.example\r\n" + std::string(kForwarded) +
                "\r\n");
  EXPECT_EQ(Request("GET / HTTP/1.0\r\n\r\n").head(),
            "GET / HTTP/1.1\r\nHost: \r\nX-Forwarded-For: 192.0.2.1\r\n"
            "X-Forwarded-Proto: http\r\n\r\n");
}

TEST(NodeHttp, HostOfTheTargetStandsAboveTheHeader) {
  const std::string all = get("", "http://u@b.example:81/").head();
  EXPECT_TRUE(all.starts_with("GET / HTTP/1.1\r\nHost: b.example:81\r\n"));
  EXPECT_EQ(all.find("a.example"), std::string::npos);
  EXPECT_NE(all.find("X-Forwarded-Host: b.example:81\r\n"), std::string::npos);
}

TEST(NodeHttp, HeadersOfTheClientsConnectionEndHere) {
  EXPECT_EQ(passed("Connection: close\r\nKeep-Alive: 1\r\nTE: trailers\r\n"
                   "Trailer: x\r\nProxy-Connection: x\r\nUpgrade: h2c\r\n"
                   "Accept: a\r\n"),
            "Accept: a\r\n");
}

TEST(NodeHttp, WhatConnectionNamesEndsHereInAnyCase) {
  EXPECT_EQ(passed("Connection: x-One , X-TWO\r\nX-One: 1\r\nA: a\r\n"
                   "x-two: 2\r\nConnection: X-Three\r\nX-three: 3\r\n"
                   "X-Threes: 4\r\n"),
            "A: a\r\nX-Threes: 4\r\n");
}

TEST(NodeHttp, ConnectionCannotRemoveWhatTheRouterSays) {
  const std::string all =
      request("POST /", "Connection: Host, Content-Length, X-Forwarded-For, "
                        "X-Forwarded-Proto\r\nContent-Length: 5\r\n")
          .head();
  EXPECT_EQ(all, "POST / HTTP/1.1\r\nHost: a.example\r\n" +
                     std::string(kForwarded) + "Content-Length: 5\r\n\r\n");
}

TEST(NodeHttp, ForgeriesAreRemovedOrReplaced) {
  EXPECT_EQ(passed("X-Forwarded-For: 9.9.9.9\r\nX-Client-DN: /CN=root\r\n"
                   "x-forwarded-proto: https\r\nX-FORWARDED-HOST: b\r\n"
                   "Proxy: evil\r\nX-Forwarded-For: 8.8.8.8\r\n"),
            "");
}

TEST(NodeHttp, NamesWithUnderscoresAreDropped) {
  // A framework behind the node may take them for the others.
  EXPECT_EQ(passed("X_Forwarded_For: 9.9.9.9\r\nContent_Length: 3\r\n"
                   "A: a\r\n"),
            "A: a\r\n");
}

TEST(NodeHttp, RepeatedHeadersStayApartAndInOrder) {
  EXPECT_EQ(passed("Cookie: a=1\r\nX: 1\r\nCookie: b=2\r\nX: 2\r\n"),
            "Cookie: a=1\r\nX: 1\r\nCookie: b=2\r\nX: 2\r\n");
}

TEST(NodeHttp, BlanksAroundValuesAreMadePlain) {
  EXPECT_EQ(passed("A:a\r\nB: \t b \t\r\nC:\tc\r\nD: d\r\nE:\r\nF:  \r\nG: g\r\n"),
            "A: a\r\nB: b\r\nC: c\r\nD: d\r\nE: \r\nF: \r\nG: g\r\n");
}

TEST(NodeHttp, OldBytesInValuesStayAsTheyAre) {
  EXPECT_EQ(passed("X: \xc3\xa9\xff\r\n"), "X: \xc3\xa9\xff\r\n");
}

TEST(NodeHttp, ExpectationIsTheRoutersToMeet) {
  EXPECT_EQ(request("PUT /", "Expect: 100-continue\r\nContent-Length: 3\r\n")
                .head(),
            "PUT / HTTP/1.1\r\nHost: a.example\r\n" + std::string(kForwarded) +
                "Content-Length: 3\r\n\r\n");
}

TEST(NodeHttp, LengthIsWrittenAsItWasUnderstood) {
  EXPECT_TRUE(request("PUT /", "Content-Length: 0007\r\n")
                  .head()
                  .ends_with("\r\nContent-Length: 7\r\n\r\n"));
  EXPECT_TRUE(request("POST /", "Content-Length: 0\r\n")
                  .head()
                  .ends_with("\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_EQ(request("POST /", "").head().find("Content-Length"),
            std::string::npos);
}

TEST(NodeHttp, ChunkedBodyHasOneFraming) {
  Request made = request("PUT /", "transfer-encoding: CHUNKED\r\n");
  const std::string streamed = made.head();
  EXPECT_TRUE(streamed.ends_with("\r\nTransfer-Encoding: chunked\r\n\r\n"));
  EXPECT_EQ(streamed.find("CHUNKED"), std::string::npos);
  EXPECT_EQ(streamed.find("Content-Length"), std::string::npos);
  const std::string stored = made.with({BodyFraming::kLength, UINT64_MAX});
  EXPECT_TRUE(
      stored.ends_with("\r\nContent-Length: 18446744073709551615\r\n\r\n"));
  EXPECT_EQ(stored.find("hunked"), std::string::npos);
}

TEST(NodeHttp, WebSocketIsAskedForAndNothingElse) {
  EXPECT_EQ(passed("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
                   "Sec-WebSocket-Key: k\r\n"),
            "Sec-WebSocket-Key: k\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\n");
  for (const char* other :
       {"Connection: Upgrade\r\nUpgrade: h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
        "Connection: Upgrade\r\n", "Upgrade: websocket\r\n"}) {
    EXPECT_EQ(passed(other), "") << other;
  }
  EXPECT_EQ(request("PUT /", "Connection: Upgrade\r\nUpgrade: websocket\r\n")
                .head()
                .find("Upgrade"),
            std::string::npos);
}

TEST(NodeHttp, ClientWithoutAnAddressHasNone) {
  EXPECT_EQ(get("X-Forwarded-For: 9.9.9.9\r\n").head(70'000, "")
                .find("X-Forwarded-For"),
            std::string::npos);
}

TEST(NodeHttp, WhatDoesNotFitIsNotCut) {
  Request made = get("A: a\r\nB:b\r\nC: " + std::string(500, 'c') + "\r\n");
  const std::string all = made.head();
  for (std::size_t room = 0; room < all.size(); ++room) {
    EXPECT_EQ(made.head(room), "");
    EXPECT_EQ(made.result, Encoded::kTooLarge);
  }
  EXPECT_EQ(made.head(all.size()), all);
}

}  // namespace
}  // namespace fealty::router
