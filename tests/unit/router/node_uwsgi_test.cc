#include "router/node_uwsgi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "http/request_head.h"
#include "tests/unit/router/sockets.h"
#include "wire/uwsgi_packet.h"

namespace fealty::router {
namespace {

using test::decode_variables;
using test::Variables;
using testing::Pair;
using testing::UnorderedElementsAre;

constexpr std::size_t kLengthPairBytes = 4 + 14 + 20;

// A request, parsed and encoded.
class Request {
 public:
  explicit Request(std::string text, const ExtraVariables* extra = nullptr)
      : text_(std::move(text)) {
    EXPECT_EQ(http::parse_request_head(text_, head_).status, 0) << text_;
    if (!head_.authority.empty()) {
      EXPECT_TRUE(http::normalise_host(head_.authority, host_));
    }
    connection_.extra = extra;
  }

  // Into a buffer of `room` bytes; empty where it was not encoded.
  std::string packet(std::size_t room = 70'000) {
    std::vector<char> out(room);
    std::size_t bytes = 0;
    result = encode_uwsgi_request(head_, host_, connection_, out, bytes);
    return result == Encoded::kOk ? std::string(out.data(), bytes) : "";
  }
  Variables variables() {
    const std::string all = packet();
    EXPECT_EQ(result, Encoded::kOk);
    return decode_variables(std::string_view(all).substr(
        std::min(all.size(), wire::kUwsgiHeaderBytes)));
  }
  // "(none)", or "(many)" where it is there more than once.
  std::string operator[](const std::string& name) {
    const Variables all = variables();
    const std::size_t count = all.count(name);
    return count == 0   ? "(none)"
           : count == 1 ? all.find(name)->second
                        : "(many)";
  }

  Encoded result = Encoded::kOk;

 private:
  std::string text_;
  http::RequestHead head_;
  http::Host host_{};
  ConnectionVariables connection_{"192.0.2.1", "4711", "8080", nullptr};
};

Request get(std::string_view headers, std::string_view target = "/") {
  return Request("GET " + std::string(target) +
                 " HTTP/1.1\r\nHost: a.example\r\n" + std::string(headers) +
                 "\r\n");
}

TEST(NodeUwsgi, VariablesAreThoseOfTheSpecificationAndNoOthers) {
  EXPECT_THAT(
      get("User-Agent: x\r\n", "/p%20q?a=b").variables(),
      UnorderedElementsAre(
          Pair("REQUEST_METHOD", "GET"), Pair("REQUEST_URI", "/p%20q?a=b"),
          Pair("PATH_INFO", "/p q"), Pair("QUERY_STRING", "a=b"),
          Pair("SERVER_PROTOCOL", "HTTP/1.1"), Pair("SCRIPT_NAME", ""),
          Pair("SERVER_NAME", "a.example"), Pair("SERVER_PORT", "8080"),
          Pair("UWSGI_ROUTER", "http"), Pair("REMOTE_ADDR", "192.0.2.1"),
          Pair("REMOTE_PORT", "4711"), Pair("HTTP_HOST", "a.example"),
          Pair("HTTP_USER_AGENT", "x")));
}

TEST(NodeUwsgi, HeaderOfThePacketHasTheModifiersThatAreSet) {
  std::string packet = get("").packet();
  auto header = wire::decode_uwsgi_header(packet);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->modifier1, 0);
  EXPECT_EQ(header->modifier2, 0);
  EXPECT_EQ(header->data_bytes + wire::kUwsgiHeaderBytes, packet.size());
  set_modifiers(packet.data(), 9, 3);
  header = wire::decode_uwsgi_header(packet);
  EXPECT_EQ(header->modifier1, 9);
  EXPECT_EQ(header->modifier2, 3);
  EXPECT_EQ(header->data_bytes + wire::kUwsgiHeaderBytes, packet.size());
}

TEST(NodeUwsgi, QueryIsEmptyWhereThereIsNone) {
  EXPECT_EQ(get("", "/a")["QUERY_STRING"], "");
  EXPECT_EQ(get("", "/a?")["QUERY_STRING"], "");
  EXPECT_EQ(get("", "/a?")["REQUEST_URI"], "/a?");
}

TEST(NodeUwsgi, PathIsDecodedOnceAndTheUriNot) {
  auto request = get("", "/%7Euser/%252f/caf%C3%A9?q=%20");
  EXPECT_EQ(request["PATH_INFO"], "/~user/%2f/caf\xc3\xa9");
  EXPECT_EQ(request["REQUEST_URI"], "/%7Euser/%252f/caf%C3%A9?q=%20");
  EXPECT_EQ(request["QUERY_STRING"], "q=%20");
}

TEST(NodeUwsgi, BrokenEscapesAreRefused) {
  for (const char* target : {"/%", "/%4", "/%zz", "/a%00b", "/%%"}) {
    auto request = get("", target);
    EXPECT_EQ(request.packet(), "") << target;
    EXPECT_EQ(request.result, Encoded::kBadPath) << target;
  }
  // The query is the application's.
  EXPECT_EQ(get("", "/?%zz%00%")["QUERY_STRING"], "%zz%00%");
}

TEST(NodeUwsgi, ServerNameIsTheNormalHostAndTheHeaderAsReceived) {
  Request request(
      "GET / HTTP/1.1\r\nHost: WWW.Example.COM.:8080\r\n\r\n");
  EXPECT_EQ(request["SERVER_NAME"], "www.example.com");
  EXPECT_EQ(request["HTTP_HOST"], "WWW.Example.COM.:8080");
  EXPECT_EQ(request["SERVER_PORT"], "8080");
}

TEST(NodeUwsgi, Http10WithoutHostHasAnEmptyServerName) {
  Request request("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(request["SERVER_NAME"], "");
  EXPECT_EQ(request["HTTP_HOST"], "(none)");
  EXPECT_EQ(request["SERVER_PROTOCOL"], "HTTP/1.0");
}

TEST(NodeUwsgi, TargetsAuthorityIsTheHost) {
  Request request(
      "GET http://user@b.example:81/x HTTP/1.1\r\nHost: a.example\r\n\r\n");
  EXPECT_EQ(request["HTTP_HOST"], "b.example:81");
  EXPECT_EQ(request["SERVER_NAME"], "b.example");
  EXPECT_EQ(request["REQUEST_URI"], "/x");
  Request old("GET http://b.example/x HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old["HTTP_HOST"], "b.example");
}

TEST(NodeUwsgi, UriOfATargetWithoutPathBeginsWithASlash) {
  for (const auto& [target, uri] :
       {std::pair{"http://b.example?c=d", "/?c=d"},
        {"http://b.example", "/"},
        {"http://b.example:81", "/"}}) {
    auto request = get("", target);
    EXPECT_EQ(request["REQUEST_URI"], uri) << target;
    EXPECT_EQ(request["PATH_INFO"], "/") << target;
  }
}

TEST(NodeUwsgi, HeadersBecomeUpperCaseWithUnderscores) {
  auto request = get("x-some-Header: v\r\nX.Y: w\r\nAccept-Encoding: gzip\r\n");
  EXPECT_EQ(request["HTTP_X_SOME_HEADER"], "v");
  EXPECT_EQ(request["HTTP_X.Y"], "w");
  EXPECT_EQ(request["HTTP_ACCEPT_ENCODING"], "gzip");
}

TEST(NodeUwsgi, LengthAndTypeHaveNoPrefix) {
  Request request(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
      "content-type: text/x\r\n\r\n");
  EXPECT_EQ(request["CONTENT_LENGTH"], "5");
  EXPECT_EQ(request["CONTENT_TYPE"], "text/x");
  EXPECT_EQ(request["HTTP_CONTENT_LENGTH"], "(none)");
  EXPECT_EQ(request["HTTP_CONTENT_TYPE"], "(none)");
}

TEST(NodeUwsgi, SameHeaderTwiceIsJoined) {
  auto request = get(
      "X-A: 1\r\nCookie: a=b\r\nx-a: 2\r\nAccept: y\r\nCOOKIE: c=d\r\n"
      "X-A:\r\ncookie: e=f\r\n");
  EXPECT_EQ(request["HTTP_X_A"], "1, 2, ");
  EXPECT_EQ(request["HTTP_COOKIE"], "a=b; c=d; e=f");
  EXPECT_EQ(request["HTTP_ACCEPT"], "y");
}

TEST(NodeUwsgi, NamesThatOnlyResembleEachOtherAreNotJoined) {
  auto request = get("X-A: 1\r\nX-AA: 2\r\nX-B: 3\r\n");
  EXPECT_EQ(request["HTTP_X_A"], "1");
  EXPECT_EQ(request["HTTP_X_AA"], "2");
  EXPECT_EQ(request["HTTP_X_B"], "3");
}

TEST(NodeUwsgi, NamesWithUnderscoresAreDropped) {
  auto request = get(
      "X_Forwarded_For: 6.6.6.6\r\nContent_Length: 5\r\nX-Client_DN: /CN=x\r\n"
      "_: x\r\nHOST_: y\r\nX-Forwarded-For: 1.2.3.4\r\n");
  EXPECT_EQ(request["HTTP_X_FORWARDED_FOR"], "1.2.3.4");
  EXPECT_EQ(request["CONTENT_LENGTH"], "(none)");
  EXPECT_EQ(request["HTTP_CONTENT_LENGTH"], "(none)");
  EXPECT_EQ(request["HTTP_X_CLIENT_DN"], "(none)");
  EXPECT_EQ(request["HTTP__"], "(none)");
}

TEST(NodeUwsgi, ForgeriesAreDropped) {
  auto request = get(
      "Proxy: http://evil\r\nX-Client-DN: /CN=root\r\nHTTPS: on\r\n"
      "HTTPS-DN: /CN=root\r\nREMOTE-ADDR: 6.6.6.6\r\nRemote-User: root\r\n"
      "UWSGI-ROUTER: x\r\nDocument-Root: /\r\nScript-Name: /x\r\n");
  EXPECT_EQ(request["HTTP_PROXY"], "(none)");
  EXPECT_EQ(request["HTTP_X_CLIENT_DN"], "(none)");
  EXPECT_EQ(request["HTTPS"], "(none)");
  EXPECT_EQ(request["HTTPS_DN"], "(none)");
  EXPECT_EQ(request["REMOTE_USER"], "(none)");
  EXPECT_EQ(request["DOCUMENT_ROOT"], "(none)");
  EXPECT_EQ(request["REMOTE_ADDR"], "192.0.2.1");
  EXPECT_EQ(request["UWSGI_ROUTER"], "http");
  EXPECT_EQ(request["SCRIPT_NAME"], "");
  // What a client says stays marked as a client's word.
  EXPECT_EQ(request["HTTP_HTTPS"], "on");
  EXPECT_EQ(request["HTTP_REMOTE_ADDR"], "6.6.6.6");
}

TEST(NodeUwsgi, ExtraVariablesAreAdded) {
  const ExtraVariables extra = {{"UWSGI_SCHEME", "http"}, {"X", ""}};
  Request request("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &extra);
  EXPECT_EQ(request["UWSGI_SCHEME"], "http");
  EXPECT_EQ(request["X"], "");
}

TEST(NodeUwsgi, PacketThatDoesNotFitTheBufferIsTooLarge) {
  auto request = get("X-A: 1\r\nX-B: 2\r\n", "/some/path");
  const std::string whole = request.packet();
  ASSERT_EQ(request.result, Encoded::kOk);
  EXPECT_EQ(request.packet(whole.size()), whole);
  for (std::size_t room = 0; room < whole.size(); ++room) {
    EXPECT_EQ(request.packet(room), "") << room;
    EXPECT_EQ(request.result, Encoded::kTooLarge) << room;
  }
}

TEST(NodeUwsgi, FormatsLargestPacketPassesAndNoLarger) {
  const auto with = [](std::size_t bytes) {
    return get("X-A: " + std::string(bytes, 'a') + "\r\n");
  };
  const std::size_t frame = with(1).packet().size() - 1;
  const std::size_t most = wire::kUwsgiPacketBytesMax - frame;
  auto largest = with(most);
  EXPECT_EQ(largest.packet().size(), wire::kUwsgiPacketBytesMax);
  auto larger = with(most + 1);
  EXPECT_EQ(larger.packet(), "");
  EXPECT_EQ(larger.result, Encoded::kTooLarge);
}

TEST(NodeUwsgi, HeaderNameBeyondAnyUseIsTooLarge) {
  auto request = get(std::string(1024, 'n') + ": v\r\n");
  EXPECT_NE(request.packet(), "");
  auto longer = get(std::string(1025, 'n') + ": v\r\n");
  EXPECT_EQ(longer.packet(), "");
  EXPECT_EQ(longer.result, Encoded::kTooLarge);
}

// ------------------------------------------------------------- chunked bodies

Request chunked(std::string_view headers = "") {
  return Request(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" +
      std::string(headers) + "\r\n");
}

TEST(NodeUwsgi, ChunkedBodysLengthIsAddedOnceItIsKnown) {
  for (const std::uint64_t length :
       {std::uint64_t{0}, std::uint64_t{12'345}, UINT64_MAX}) {
    auto request = chunked();
    EXPECT_EQ(request["CONTENT_LENGTH"], "(none)");
    EXPECT_EQ(request["HTTP_TRANSFER_ENCODING"], "(none)");
    std::string packet = request.packet();
    const std::size_t before = packet.size();
    packet.resize(before + kLengthPairBytes);
    packet.resize(append_content_length(packet, before, length));
    const auto header = wire::decode_uwsgi_header(packet);
    ASSERT_TRUE(header);
    EXPECT_EQ(header->data_bytes + wire::kUwsgiHeaderBytes, packet.size());
    const Variables variables =
        decode_variables(std::string_view(packet).substr(4));
    ASSERT_EQ(variables.count("CONTENT_LENGTH"), 1U);
    EXPECT_EQ(variables.find("CONTENT_LENGTH")->second, std::to_string(length));
  }
}

TEST(NodeUwsgi, RoomForTheLengthIsAlwaysLeft) {
  auto request = chunked();
  const std::size_t bytes = request.packet().size();
  EXPECT_EQ(request.packet(bytes + kLengthPairBytes - 1), "");
  EXPECT_EQ(request.result, Encoded::kTooLarge);
  EXPECT_EQ(request.packet(bytes + kLengthPairBytes).size(), bytes);
  EXPECT_EQ(request.packet(kLengthPairBytes - 1), "");
  EXPECT_EQ(request.packet(0), "");
}

TEST(NodeUwsgi, LargestChunkedPacketTakesTheLongestLength) {
  const auto with = [](std::size_t bytes) {
    return chunked("X-A: " + std::string(bytes, 'a') + "\r\n");
  };
  const std::size_t frame = with(1).packet().size() - 1;
  const std::size_t most =
      wire::kUwsgiPacketBytesMax - kLengthPairBytes - frame;
  std::string packet = with(most).packet();
  const std::size_t before = packet.size();
  ASSERT_EQ(before, wire::kUwsgiPacketBytesMax - kLengthPairBytes);
  packet.resize(wire::kUwsgiPacketBytesMax);
  EXPECT_EQ(append_content_length(packet, before, UINT64_MAX),
            wire::kUwsgiPacketBytesMax);
  EXPECT_EQ(wire::decode_uwsgi_header(packet)->data_bytes,
            wire::kUwsgiDataBytesMax);
  EXPECT_EQ(with(most + 1).packet(), "");
}

}  // namespace
}  // namespace fealty::router
