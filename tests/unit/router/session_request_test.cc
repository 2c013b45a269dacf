// Requests as they come in: heads, routing, pipelining, connections that stay.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/router/session_fixture.h"

namespace fealty::router {
namespace {

using SessionRequest = SessionTest;

std::string get(std::string_view path, std::string_view headers = "",
                std::string_view host = "example.com") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: " +
         std::string(host) + "\r\n" + std::string(headers) + "\r\n";
}

std::string ok(std::string_view body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + std::string(body);
}

TEST_F(SessionRequest, AnswerComesBackAndTheConnectionStays) {
  auto& node = only_node();
  auto peer = client();
  for (int i = 0; i < 3; ++i) {
    peer.send(kGet);
    serve(node);
    EXPECT_EQ(peer.take(), kOk);
    EXPECT_FALSE(peer.ended());
  }
  EXPECT_EQ(context().counters.requests.load(), 3U);
  EXPECT_EQ(context().counters.answers[2].load(), 3U);
  EXPECT_EQ(context().counters.accepted.load(), 1U);
}

TEST_F(SessionRequest, PacketSpeaksOfRequestAndConnection) {
  options_.extra_variables = {{"DOCUMENT_ROOT", "/srv"}};
  test::FakeNode node(temp_ / "node");
  route_to({test::make_node(node.address(), 9, 2)});
  auto peer = client();
  peer.send(get("/a%20b?c", "User-Agent: x\r\n", "EXAMPLE.com:81"));
  const auto request = serve(node);
  EXPECT_EQ(request.modifier1, 9);
  EXPECT_EQ(request.modifier2, 2);
  EXPECT_EQ(request["REQUEST_METHOD"], "GET");
  EXPECT_EQ(request["REQUEST_URI"], "/a%20b?c");
  EXPECT_EQ(request["PATH_INFO"], "/a b");
  EXPECT_EQ(request["QUERY_STRING"], "c");
  EXPECT_EQ(request["SERVER_NAME"], "example.com");
  EXPECT_EQ(request["HTTP_HOST"], "EXAMPLE.com:81");
  EXPECT_EQ(request["REMOTE_ADDR"], "192.0.2.7");
  EXPECT_EQ(request["REMOTE_PORT"], "4711");
  EXPECT_EQ(request["SERVER_PORT"], "8080");
  EXPECT_EQ(request["HTTP_USER_AGENT"], "x");
  EXPECT_EQ(request["DOCUMENT_ROOT"], "/srv");
  EXPECT_EQ(request["HTTPS"], "(none)");
  EXPECT_EQ(request.body, "");
}

TEST_F(SessionRequest, UnixListenersPortIsTheOneThatWasAskedFor) {
  listener_.server_port = "";
  auto& node = only_node();
  for (const auto& [host, port] :
       {std::pair{"example.com", "80"}, {"example.com:", "80"},
        {"example.com:8443", "8443"}}) {
    auto peer = client();
    peer.send(get("/", "", host));
    EXPECT_EQ(serve(node)["SERVER_PORT"], port) << host;
  }
}

TEST_F(SessionRequest, MountpointsAreApplicationsOfTheirOwn) {
  options_.routes.mountpoints = 1;
  test::FakeNode root(temp_ / "root");
  test::FakeNode blog(temp_ / "blog");
  runtimes_ = {test::make_node(root.address()).runtime,
               test::make_node(blog.address()).runtime};
  context().snapshot = test::make_snapshot(
      {test::make_pool("example.com", {{runtimes_[0]}}),
       test::make_pool("example.com/blog", {{runtimes_[1]}})});
  auto peer = client();
  peer.send(get("/x/../%62log/a?b"));
  const auto request = serve(blog);
  EXPECT_EQ(request["PATH_INFO"], "/blog/a");
  EXPECT_EQ(request["SCRIPT_NAME"], "");
  EXPECT_EQ(request["REQUEST_URI"], "/x/../%62log/a?b");
  peer.take();
  peer.send(get("/blogs"));
  EXPECT_EQ(serve(root)["PATH_INFO"], "/blogs");
  peer.take();
  EXPECT_EQ(status_of(refusal(get("/blog%"))), "400");
}

TEST_F(SessionRequest, HeadThatComesByteByByteIsServed) {
  auto& node = only_node();
  auto peer = client();
  const std::string request = get("/slow", "A: b\r\n");
  for (const char c : request) {
    EXPECT_FALSE(accept(node));
    peer.send({&c, 1});
  }
  serve(node);
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionRequest, HeadMayTakeMoreThanOneBlock) {
  options_.limits.head_bytes = 64 * 1024;
  auto& node = only_node();
  auto peer = client();
  const std::string large(30'000, 'x');
  const std::string request = get("/", "A: " + large + "\r\nB: " + large +
                                           "\r\n");
  for (std::size_t at = 0; at < request.size(); at += 7'001) {
    peer.send(std::string_view(request).substr(at, 7'001));
    settle();
  }
  const auto seen = serve(node);
  EXPECT_EQ(seen["HTTP_B"], large);
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionRequest, PipelinedRequestsAreAnsweredInOrder) {
  auto& node = only_node();
  auto peer = client();
  std::string requests;
  std::string answers;
  for (int i = 0; i < 50; ++i) {
    requests += get("/" + std::to_string(i));
    answers += ok(std::to_string(i));
  }
  peer.send(requests);
  for (int i = 0; i < 50; ++i) {
    const auto request = serve(node, ok(std::to_string(i)));
    ASSERT_EQ(request["PATH_INFO"], "/" + std::to_string(i));
  }
  EXPECT_EQ(peer.take(), answers);
}

TEST_F(SessionRequest, NextRequestWaitsForTheAnswerBefore) {
  auto& node = only_node();
  auto peer = client();
  peer.send(get("/1"));
  auto first = accept(node);
  ASSERT_TRUE(first);
  peer.send(get("/2"));
  EXPECT_FALSE(accept(node));
  first->answer(ok("1"));
  const auto second = serve(node, ok("2"));
  EXPECT_EQ(second["PATH_INFO"], "/2");
  EXPECT_EQ(peer.take(), ok("1") + ok("2"));
}

TEST_F(SessionRequest, PipelinedRefusalsKeepTheirPlace) {
  auto& node = only_node();
  auto peer = client();
  peer.send(get("/1") + get("/2", "", "unknown.example") + get("/3") +
            get("/4", "", "unknown.example"));
  serve(node, ok("first"));
  serve(node, ok("third"));
  const std::string answers = peer.take();
  const std::size_t first = answers.find("first");
  const std::size_t second = answers.find("404 Not Found");
  const std::size_t third = answers.find("third");
  const std::size_t fourth = answers.rfind("HTTP/1.1 404");
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
  EXPECT_LT(third, fourth);
  EXPECT_NE(fourth, answers.npos);
  EXPECT_FALSE(peer.ended());
}

TEST_F(SessionRequest, ManyPipelinedRefusalsAreAnsweredWithoutRecursion) {
  only_node();
  auto peer = client();
  const std::string request = get("/", "", "unknown.example");
  std::string got;
  for (int burst = 0; burst < 20; ++burst) {
    std::string requests;
    for (int i = 0; i < 1'000; ++i) requests += request;
    for (std::size_t sent = 0; sent < requests.size();) {
      sent += peer.send_some(std::string_view(requests).substr(sent));
      settle();
      got += peer.take();
    }
  }
  for (std::size_t before = 0; before != got.size();) {
    before = got.size();
    settle();
    got += peer.take();
  }
  std::size_t answers = 0;
  for (std::size_t at = 0; (at = got.find("HTTP/1.1 404", at)) != got.npos;
       ++at) {
    ++answers;
  }
  EXPECT_EQ(answers, 20'000U);
  EXPECT_LE(context().buffers.lent(), 3U);
}

// What comes while a request is being answered is bounded.
TEST_F(SessionRequest, PipelinedRequestsBeyondABlockWaitInTheSocket) {
  auto& node = only_node();
  auto peer = client();
  peer.send(get("/first"));
  auto first = accept(node);
  ASSERT_TRUE(first);
  std::string requests;
  while (requests.size() < 100'000) requests += get("/more", "X: y\r\n");
  std::size_t sent = 0;
  for (int i = 0; i < 10; ++i) {
    sent += peer.send_some(std::string_view(requests).substr(sent));
    settle();
  }
  EXPECT_LE(context().counters.received_bytes.load(), 17'000U + 64U);
  EXPECT_LE(context().buffers.lent(), 3U);
}

TEST_F(SessionRequest, EmptyLinesBeforeARequestAreSkipped) {
  auto& node = only_node();
  auto peer = client();
  peer.send("\r\n\r\n" + std::string(kGet));
  serve(node);
  EXPECT_EQ(peer.take(), kOk);
  peer.send("\r\n");
  settle();
  peer.send(kGet);
  serve(node);
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionRequest, EmptyLineThatComesInTwoPiecesIsSkippedToo) {
  auto& node = only_node();
  auto peer = client();
  peer.send("\r");
  settle();
  peer.send("\n" + std::string(kGet));
  auto connection = accept(node);
  EXPECT_TRUE(connection);
  EXPECT_EQ(peer.take(), "");
}

TEST_F(SessionRequest, TooManyEmptyLinesAre400) {
  only_node();
  std::string lines;
  for (int i = 0; i < 20; ++i) lines += "\r\n";
  EXPECT_EQ(status_of(refusal(lines)), "400");
}

TEST_F(SessionRequest, UnknownDomainIs404AndTheConnectionStays) {
  auto& node = only_node();
  auto peer = client();
  peer.send(get("/", "", "unknown.example"));
  settle();
  const std::string answer = peer.take();
  EXPECT_EQ(status_of(answer), "404");
  EXPECT_NE(answer.find("Connection: keep-alive"), answer.npos);
  EXPECT_EQ(answer.find("unknown.example"), answer.npos);
  EXPECT_EQ(answer.find(temp_.path()), answer.npos);
  peer.send(kGet);
  serve(node);
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionRequest, Http10WithoutHostIs404) {
  only_node();
  EXPECT_EQ(status_of(refusal("GET / HTTP/1.0\r\n\r\n")), "404");
}

TEST_F(SessionRequest, HostIsMatchedWithoutCasePortAndDot) {
  auto& node = only_node();
  for (const char* host : {"example.com", "EXAMPLE.COM", "example.com:8080",
                           "example.com.", "Example.com.:1"}) {
    auto peer = client();
    peer.send(get("/", "", host));
    serve(node);
    EXPECT_EQ(peer.take(), kOk) << host;
  }
}

TEST_F(SessionRequest, KeyWithAPortWinsForThatPort) {
  test::FakeNode plain(temp_ / "plain");
  test::FakeNode with_port(temp_ / "port");
  context().snapshot = test::make_snapshot(
      {test::make_pool("example.com", {test::make_node(plain.address())}),
       test::make_pool("example.com:81",
                       {test::make_node(with_port.address())})});
  auto peer = client();
  peer.send(get("/", "", "example.com:81"));
  serve(with_port);
  peer.send(get("/", "", "example.com:82"));
  serve(plain);
  EXPECT_EQ(peer.take(), std::string(kOk) + std::string(kOk));
}

TEST_F(SessionRequest, TargetsAuthorityWinsOverHost) {
  auto& node = only_node();
  auto peer = client();
  peer.send("GET http://example.com/x HTTP/1.1\r\nHost: other.example\r\n\r\n");
  const auto request = serve(node);
  EXPECT_EQ(request["HTTP_HOST"], "example.com");
  EXPECT_EQ(request["SERVER_NAME"], "example.com");
  EXPECT_EQ(request["REQUEST_URI"], "/x");
}

TEST_F(SessionRequest, BadHeadsAreRefusedAndTheConnectionEnds) {
  only_node();
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"garbage\r\n\r\n", "400"},
      {"GET / HTTP/1.1\nHost: example.com\n\n", "400"},
      {"GET / HTTP/1.1\r\nHost: example.com\r\n folded\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: a\x01\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\n\r\n", "400"},
      {get("/", "", "exa mple.com"), "400"},
      {get("/", "", "user@example.com"), "400"},
      {get("/", "Host: example.com\r\n"), "400"},
      {get("/%zz"), "400"},
      {get("/%00"), "400"},
      {get("/", "Expect: wonders\r\n"), "417"},
      {"BREW / HTTP/1.1\r\nHost: example.com\r\n\r\n", "501"},
      {get("/", "Transfer-Encoding: gzip, chunked\r\n"), "501"},
      {"GET / HTTP/1.2\r\nHost: example.com\r\n\r\n", "505"},
  };
  for (const auto& [request, status] : cases) {
    auto peer = client();
    peer.send(request + std::string(kGet));
    settle();
    const std::string answer = peer.take();
    EXPECT_EQ(status_of(answer), status) << request;
    EXPECT_NE(answer.find("Connection: close\r\n"), answer.npos) << request;
    EXPECT_EQ(answer.find("HTTP/1.1", 1), answer.npos) << request;
    EXPECT_TRUE(peer.ended()) << request;
  }
}

TEST_F(SessionRequest, HeadAtTheLimitPassesAndNoLargerOne) {
  options_.limits.head_bytes = 1'000;
  auto& node = only_node();
  const std::size_t frame = get("/", "A: \r\n").size();
  const auto request = [&](std::size_t bytes) {
    return get("/", "A: " + std::string(bytes - frame, 'x') + "\r\n");
  };
  auto peer = client();
  peer.send(request(1'000));
  serve(node);
  EXPECT_EQ(peer.take(), kOk);
  EXPECT_EQ(status_of(refusal(request(1'001))), "431");
  // It need not be complete to be too large.
  EXPECT_EQ(status_of(refusal(request(2'000).substr(0, 1'001))), "431");
}

TEST_F(SessionRequest, HeadBeyondEveryBlockIs431) {
  options_.limits.head_bytes = 1 << 20;
  only_node();
  auto peer = client();
  const std::string request =
      get("/", "A: " + std::string(200'000, 'x') + "\r\n");
  for (std::size_t sent = 0; sent < request.size();) {
    const std::size_t now =
        peer.send_some(std::string_view(request).substr(sent, 10'000));
    if (now == 0) break;
    sent += now;
    settle();
  }
  EXPECT_EQ(status_of(peer.take()), "431");
}

TEST_F(SessionRequest, VariablesBeyondAPacketAre431) {
  options_.limits.head_bytes = 64 * 1024;
  auto& node = only_node();
  // The path is in the packet twice.
  auto peer = client();
  peer.send(get("/" + std::string(33'000, 'p')));
  settle();
  EXPECT_EQ(status_of(peer.take()), "431");
  EXPECT_FALSE(accept(node));
}

TEST_F(SessionRequest, Http10EndsUnlessItAskedToStay) {
  auto& node = only_node();
  auto peer = client();
  peer.send("GET / HTTP/1.0\r\nHost: example.com\r\n\r\n");
  const auto request = serve(node);
  EXPECT_EQ(request["SERVER_PROTOCOL"], "HTTP/1.0");
  EXPECT_EQ(peer.take(),
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
            "ok");
  EXPECT_TRUE(peer.ended());

  auto staying = client();
  staying.send(
      "GET / HTTP/1.0\r\nHost: example.com\r\nConnection: keep-alive\r\n\r\n");
  serve(node);
  EXPECT_EQ(staying.take(),
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
            "Connection: keep-alive\r\n\r\nok");
  EXPECT_FALSE(staying.ended());
}

TEST_F(SessionRequest, ConnectionCloseEndsTheConnection) {
  auto& node = only_node();
  auto peer = client();
  peer.send(get("/", "Connection: close\r\n") + std::string(kGet));
  serve(node);
  EXPECT_FALSE(accept(node));
  EXPECT_EQ(peer.take(),
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
            "ok");
  EXPECT_TRUE(peer.ended());
}

TEST_F(SessionRequest, ClientThatEndsWritingStillGetsItsAnswers) {
  auto& node = only_node();
  auto peer = client();
  peer.send(get("/1") + get("/2"));
  peer.shut_down_writing();
  serve(node, ok("1"));
  serve(node, ok("2"));
  EXPECT_EQ(peer.take(), ok("1") + ok("2"));
  EXPECT_TRUE(peer.ended());
}

TEST_F(SessionRequest, ClientThatEndsAmidAHeadIsClosed) {
  only_node();
  auto peer = client();
  peer.send("GET / HT");
  peer.shut_down_writing();
  settle();
  EXPECT_TRUE(peer.ended());
  EXPECT_EQ(closed_, 1);
}

TEST_F(SessionRequest, ClientThatVanishesAmidARequestLeavesNothing) {
  auto& node = only_node();
  auto peer = tcp_client();
  peer.send(kGet);
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  peer.reset();
  settle();
  connection->send_some(kOk);
  connection->close();
  settle();
  EXPECT_EQ(closed_, 1);
  EXPECT_EQ(context().buffers.lent(), 0U);
}

TEST_F(SessionRequest, IdleConnectionHoldsNoBlock) {
  auto& node = only_node();
  auto peer = client();
  settle();
  EXPECT_EQ(context().buffers.lent(), 0U);
  peer.send(kGet);
  serve(node);
  EXPECT_EQ(peer.take(), kOk);
  EXPECT_TRUE(idle());
  EXPECT_EQ(context().buffers.lent(), 0U);
}

TEST_F(SessionRequest, SessionIsUsedAgainAfterItClosed) {
  auto& node = only_node();
  {
    auto peer = client();
    peer.send("GET / HTTP/1.1\r\nHost: exam");
    settle();
    EXPECT_FALSE(session().closed());
    EXPECT_GT(context().buffers.lent(), 0U);
  }
  settle();
  ASSERT_TRUE(session().closed());
  auto ends = test::unix_pair();
  shared_.connections.fetch_add(1);
  const auto other =
      std::make_shared<const Listener>(Listener{"81", nullptr, false});
  session().open(std::move(ends.first), test::address_of("192.0.2.8:1"), other);
  test::Peer peer(std::move(ends.second));
  peer.send(kGet);
  const auto request = serve(node);
  EXPECT_EQ(request["REMOTE_ADDR"], "192.0.2.8");
  EXPECT_EQ(request["SERVER_PORT"], "81");
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionRequest, DrainClosesAConnectionThatWaits) {
  auto& node = only_node();
  auto fresh = client();
  settle();
  session().drain();
  EXPECT_TRUE(session().closed());
  EXPECT_TRUE(fresh.ended());
  auto used = client();
  used.send(kGet);
  serve(node);
  EXPECT_EQ(used.take(), kOk);
  session().drain();
  EXPECT_TRUE(session().closed());
}

TEST_F(SessionRequest, DrainServesWhatHasArrived) {
  auto& node = only_node();
  for (const auto part : {kGet, kGet.substr(0, 10)}) {
    auto peer = client();
    settle();
    peer.send(part);
    context().draining = true;
    session().drain();
    peer.send(kGet.substr(part.size()));
    serve(node);
    EXPECT_TRUE(peer.take().ends_with("Connection: close\r\n\r\nok"));
    EXPECT_TRUE(peer.ended());
  }
}

TEST_F(SessionRequest, DrainLeavesWhatRuns) {
  auto& node = only_node();
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  context().draining = true;
  session().drain();
  connection->answer(kOk);
  settle();
  EXPECT_TRUE(peer.take().ends_with("Connection: close\r\n\r\nok"));
}

TEST_F(SessionRequest, RequestIdsDiffer) {
  only_node();
  auto peer = client();
  peer.send(get("/", "", "a.example") + get("/", "", "a.example"));
  settle();
  const std::string answers = peer.take();
  const auto id_at = [&](std::size_t from) {
    const std::size_t at = answers.find("X-Request-Id: ", from);
    return at == answers.npos ? "" : answers.substr(at + 14, 16);
  };
  const std::string first = id_at(0);
  const std::string second = id_at(answers.find("X-Request-Id: ") + 1);
  EXPECT_EQ(first.size(), 16U);
  EXPECT_EQ(second.size(), 16U);
  EXPECT_NE(first, second);
}

}  // namespace
}  // namespace fealty::router
