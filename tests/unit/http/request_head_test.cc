#include "http/request_head.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/head_scanner.h"

namespace fealty::http {
namespace {

using namespace std::string_view_literals;

// A head, parsed; the bytes live as long as what was parsed.
struct Parsed {
  explicit Parsed(std::string text)
      : bytes(std::make_unique<std::string>(std::move(text))),
        head(std::make_unique<RequestHead>()),
        problem(parse_request_head(*bytes, *head)) {}
  [[nodiscard]] int status() const { return problem.status; }
  const RequestHead* operator->() const { return head.get(); }

  std::unique_ptr<std::string> bytes;
  std::unique_ptr<RequestHead> head;
  HeadProblem problem;
};

// Header lines are given without their CRLF.
Parsed parse(std::string_view request_line,
             const std::vector<std::string>& lines) {
  std::string text(request_line);
  text += "\r\n";
  for (const std::string& line : lines) text += line + "\r\n";
  return Parsed(text + "\r\n");
}

Parsed get(const std::vector<std::string>& lines,
           std::string_view version = "HTTP/1.1") {
  std::vector<std::string> all = {"Host: example.com"};
  all.insert(all.end(), lines.begin(), lines.end());
  return parse("GET / " + std::string(version), all);
}

Parsed target(std::string_view of, std::string_view method = "GET") {
  return parse(std::string(method) + " " + std::string(of) + " HTTP/1.1",
               {"Host: header.example"});
}

// ----------------------------------------------------------- request line

TEST(RequestHead, RequestLineIsSplit) {
  const Parsed head = target("/a/b%20c?d=e&f");
  ASSERT_EQ(head.status(), 0) << head.problem.reason;
  EXPECT_EQ(head->method, "GET");
  EXPECT_EQ(head->target, "/a/b%20c?d=e&f");
  EXPECT_EQ(head->uri, "/a/b%20c?d=e&f");
  EXPECT_EQ(head->path, "/a/b%20c");
  EXPECT_EQ(head->query, "d=e&f");
  EXPECT_EQ(head->authority, "header.example");
  EXPECT_EQ(head->minor_version, 1);
  EXPECT_EQ(head->protocol(), "HTTP/1.1");
}

TEST(RequestHead, ViewsPointIntoTheBytesGiven) {
  const Parsed head = target("/path?query");
  const auto inside = [&](std::string_view view) {
    return view.data() >= head.bytes->data() &&
           view.data() + view.size() <= head.bytes->data() + head.bytes->size();
  };
  EXPECT_TRUE(inside(head->method));
  EXPECT_TRUE(inside(head->uri));
  EXPECT_TRUE(inside(head->path));
  EXPECT_TRUE(inside(head->query));
  EXPECT_TRUE(inside(head->fields[0].name));
  EXPECT_TRUE(inside(head->fields[0].value));
}

TEST(RequestHead, EmptyQueryIsAQueryOfNothing) {
  const Parsed head = target("/a?");
  ASSERT_EQ(head.status(), 0);
  EXPECT_EQ(head->path, "/a");
  EXPECT_EQ(head->query, "");
  EXPECT_EQ(head->uri, "/a?");
}

TEST(RequestHead, SecondQuestionMarkBelongsToTheQuery) {
  const Parsed head = target("/a?b?c");
  ASSERT_EQ(head.status(), 0);
  EXPECT_EQ(head->path, "/a");
  EXPECT_EQ(head->query, "b?c");
}

TEST(RequestHead, FragmentIsNeitherPathNorQuery) {
  for (const auto& [given, path, query] :
       {std::tuple{"/a#frag", "/a", ""}, {"/a?b#frag", "/a", "b"},
        {"/a#b?c", "/a", ""}, {"/#", "/", ""}}) {
    const Parsed head = target(given);
    ASSERT_EQ(head.status(), 0) << given;
    EXPECT_EQ(head->path, path) << given;
    EXPECT_EQ(head->query, query) << given;
  }
}

TEST(RequestHead, VersionsAreToldApart) {
  EXPECT_EQ(get({}, "HTTP/1.0")->minor_version, 0);
  EXPECT_EQ(get({}, "HTTP/1.0")->protocol(), "HTTP/1.0");
  EXPECT_EQ(get({}, "HTTP/1.1")->minor_version, 1);
}

TEST(RequestHead, OtherVersionsAre505) {
  for (const char* version : {"HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/3.0",
                              "HTTP/9.9"}) {
    EXPECT_EQ(get({}, version).status(), 505) << version;
  }
}

TEST(RequestHead, MalformedRequestLinesAre400) {
  for (const char* line :
       {"GET", "GET / http/1.1", "GET / HTTPS/1.1", "GET / HTTP /1.1",
        "GET / /b HTTP/1.1", "GET  HTTP/1.1", ": / HTTP/1.1", "G(T / HTTP/1.1",
        "\"GET\" / HTTP/1.1",
        "GET\t/ HTTP/1.1"}) {
    EXPECT_EQ(parse(line, {"Host: a"}).status(), 400) << line;
  }
}

TEST(RequestHead, MalformedVersionsAre400Or505) {
  for (const char* line : {"GET /", "GET / HTTP/1.1 ", "GET / HTTP/11",
                           "GET / HTTP/1.", "GET / HTTP/.1", "GET / HTTP/1.1x",
                           "GET / HTTP/1.10", "GET / HTTP/01.1"}) {
    const int status = parse(line, {"Host: a"}).status();
    EXPECT_TRUE(status == 400 || status == 505) << line << ": " << status;
  }
}

TEST(RequestHead, EmptyHeadIs400) {
  EXPECT_EQ(Parsed("\r\n").status(), 400);
  EXPECT_EQ(Parsed("").status(), 400);
  EXPECT_EQ(Parsed("GET / HTTP/1.1\r\nHost: a\r\n").status(), 400);
}

TEST(RequestHead, KnownMethodsPass) {
  for (const char* method :
       {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE",
        "PROPFIND", "MKCOL", "REPORT", "PURGE", "SEARCH"}) {
    const Parsed head = target("/", method);
    EXPECT_EQ(head.status(), 0) << method;
    EXPECT_EQ(head->method, method);
  }
}

// Not in the parser's list.
TEST(RequestHead, RareMethodsOfWebDavPass) {
  for (const char* method :
       {"VERSION-CONTROL", "BASELINE-CONTROL", "UPDATE", "LABEL", "ORDERPATCH",
        "MKREDIRECTREF", "UPDATEREDIRECTREF"}) {
    const Parsed head = target("/a", method);
    EXPECT_EQ(head.status(), 0) << method;
    EXPECT_EQ(head->method, method);
    EXPECT_EQ(head->path, "/a");
    EXPECT_FALSE(head->is_idempotent());
    EXPECT_EQ(target("/", method + std::string("S")).status(), 501) << method;
  }
}

// Younger than the parser's list.
TEST(RequestHead, QueryIsAMethod) {
  const Parsed head =
      parse("QUERY /a?b HTTP/1.1", {"Host: x", "Content-Length: 3"});
  ASSERT_EQ(head.status(), 0) << head.problem.reason;
  EXPECT_EQ(head->method, "QUERY");
  EXPECT_EQ(head->path, "/a");
  EXPECT_EQ(head->query, "b");
  EXPECT_EQ(head->content_length, 3U);
  EXPECT_EQ(target("/", "QUERYX").status(), 501);
  EXPECT_EQ(target("/", "query").status(), 501);
  EXPECT_EQ(parse("QUERY", {}).status(), 400);
}

TEST(RequestHead, OneSpaceStandsOnEachSideOfTheTarget) {
  for (const char* line :
       {"GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET   /  HTTP/1.1",
        "QUERY  / HTTP/1.1", "QUERY /  HTTP/1.1", "LABEL  / HTTP/1.1",
        "GET  http://x/ HTTP/1.1", "OPTIONS  * HTTP/1.1"}) {
    EXPECT_EQ(parse(line, {"Host: x"}).status(), 400) << line;
  }
}

TEST(RequestHead, UnknownMethodsAre501) {
  for (const char* method :
       {"BREW", "GETS", "get", "Get", "X", "G", "GETGETGET", "M-SEARCHES",
        "FOO.BAR", "!#$%&'*+-.^_`|~"}) {
    EXPECT_EQ(target("/", method).status(), 501) << method;
  }
}

TEST(RequestHead, MethodsOfOtherProtocolsAre501) {
  // RTSP's, which the parser knows.
  for (const char* method : {"PLAY", "DESCRIBE", "SETUP", "RECORD"}) {
    EXPECT_EQ(target("/", method).status(), 501) << method;
  }
}

TEST(RequestHead, Http2PrefaceIsRefused) {
  EXPECT_NE(parse("PRI * HTTP/2.0", {}).status(), 0);
  EXPECT_NE(Parsed("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").status(), 0);
}

TEST(RequestHead, ConnectIs501) {
  EXPECT_EQ(target("example.com:443", "CONNECT").status(), 501);
}

TEST(RequestHead, MethodThatIsNoTokenIs400) {
  for (const char* method : {"B(REW", "B/REW", "BR:EW", "B[", "B@"}) {
    EXPECT_EQ(target("/", method).status(), 400) << method;
  }
  EXPECT_EQ(target("/", std::string(33, 'A')).status(), 400);
}

// ----------------------------------------------------------------- targets

TEST(RequestHead, AbsoluteTargetNamesTheAuthority) {
  struct Case {
    const char* target;
    const char* authority;
    const char* path;
    const char* query;
  };
  for (const Case& wanted : {
           Case{"http://other.example/a?b", "other.example", "/a", "b"},
           Case{"https://other.example/a", "other.example", "/a", ""},
           Case{"HTTP://other.example/a", "other.example", "/a", ""},
           Case{"http://other.example:8080/", "other.example:8080", "/", ""},
           Case{"http://user@other.example/a", "other.example", "/a", ""},
           Case{"http://user:word@other.example:1/a", "other.example:1", "/a",
                ""},
           Case{"http://[2001:db8::1]/a", "[2001:db8::1]", "/a", ""},
           Case{"http://[::1]:8080/a", "[::1]:8080", "/a", ""},
           Case{"http://other.example/a#f", "other.example", "/a", ""},
           Case{"http://other.example/a@b", "other.example", "/a@b", ""},
           Case{"http://other.example", "other.example", "/", ""},
           Case{"http://other.example:81", "other.example:81", "/", ""},
           Case{"http://other.example?b=c", "other.example", "/", "b=c"},
       }) {
    const Parsed head = target(wanted.target);
    ASSERT_EQ(head.status(), 0) << wanted.target << ": " << head.problem.reason;
    EXPECT_EQ(head->authority, wanted.authority) << wanted.target;
    EXPECT_EQ(head->path, wanted.path) << wanted.target;
    EXPECT_EQ(head->query, wanted.query) << wanted.target;
    EXPECT_EQ(head->target, wanted.target);
  }
}

TEST(RequestHead, UriOfAnAbsoluteTargetIsItsPathAndQuery) {
  EXPECT_EQ(target("http://other.example/a?b")->uri, "/a?b");
  EXPECT_EQ(target("http://other.example")->uri, "/");
}

// The "/" is not in the bytes; whoever writes the URI puts it before (RFC 9112
// section 3.2.1).
TEST(RequestHead, UriOfAnAbsoluteTargetWithoutPathIsItsQuery) {
  const Parsed head = target("http://other.example?b=c");
  ASSERT_EQ(head.status(), 0);
  EXPECT_EQ(head->uri, "?b=c");
  EXPECT_EQ(head->path, "/");
}

TEST(RequestHead, AbsoluteTargetStillNeedsAHost) {
  EXPECT_EQ(parse("GET http://other.example/ HTTP/1.1", {}).status(), 400);
  EXPECT_EQ(parse("GET http://other.example/ HTTP/1.0", {})->authority,
            "other.example");
}

TEST(RequestHead, AsteriskIsForOptions) {
  const Parsed head = target("*", "OPTIONS");
  ASSERT_EQ(head.status(), 0);
  EXPECT_EQ(head->uri, "*");
  EXPECT_EQ(head->path, "*");
  EXPECT_EQ(head->authority, "header.example");
  EXPECT_EQ(target("*", "GET").status(), 400);
  EXPECT_EQ(target("*", "POST").status(), 400);
  EXPECT_EQ(target("*x", "OPTIONS").status(), 400);
}

TEST(RequestHead, OtherTargetsAre400) {
  for (const char* text :
       {"a", "example.com", "example.com:80", "ftp://example.com/", "http:/a",
        "http:a", "http://", "http:///a", "http://?a", "http://user@/a",
        "//example.com/a b", "://example.com/", "javascript:alert(1)"}) {
    EXPECT_EQ(target(text).status(), 400) << text;
  }
}

TEST(RequestHead, PathThatLooksLikeAnAuthorityIsAPath) {
  const Parsed head = target("//evil.example/a");
  ASSERT_EQ(head.status(), 0);
  EXPECT_EQ(head->path, "//evil.example/a");
  EXPECT_EQ(head->authority, "header.example");
}

// -------------------------------------------------------------------- Host

TEST(RequestHead, HostIsRequiredByHttp11) {
  EXPECT_EQ(parse("GET / HTTP/1.1", {}).status(), 400);
  EXPECT_EQ(parse("GET / HTTP/1.1", {"Hostname: a"}).status(), 400);
  const Parsed old = parse("GET / HTTP/1.0", {});
  EXPECT_EQ(old.status(), 0);
  EXPECT_EQ(old->authority, "");
}

TEST(RequestHead, TwoHostsAre400) {
  EXPECT_EQ(get({"Host: example.com"}).status(), 400);
  EXPECT_EQ(get({"HOST: other.example"}).status(), 400);
  EXPECT_EQ(get({"host:"}, "HTTP/1.0").status(), 400);
}

TEST(RequestHead, HostIsFoundInAnyCase) {
  const Parsed head = parse("GET / HTTP/1.1", {"hOsT: www.example.com"});
  ASSERT_EQ(head.status(), 0);
  EXPECT_EQ(head->authority, "www.example.com");
}

// ----------------------------------------------------------------- framing

TEST(RequestHead, WithoutFramingThereIsNoBody) {
  const Parsed head = get({});
  EXPECT_EQ(head->framing, BodyFraming::kNone);
  EXPECT_EQ(head->content_length, 0U);
}

TEST(RequestHead, ContentLengthIsTheBodys) {
  const Parsed head = get({"Content-Length: 1234"});
  ASSERT_EQ(head.status(), 0);
  EXPECT_EQ(head->framing, BodyFraming::kLength);
  EXPECT_EQ(head->content_length, 1234U);
}

TEST(RequestHead, ContentLengthOfNothingIsNoBody) {
  EXPECT_EQ(get({"Content-Length: 0"})->framing, BodyFraming::kNone);
}

TEST(RequestHead, LargestContentLengthPassesAndNoLarger) {
  const Parsed head = get({"Content-Length: 9223372036854775807"});
  ASSERT_EQ(head.status(), 0) << head.problem.reason;
  EXPECT_EQ(head->content_length, std::uint64_t{INT64_MAX});
  EXPECT_EQ(get({"Content-Length: 9223372036854775808"}).status(), 413);
  EXPECT_EQ(get({"Content-Length: 18446744073709551615"}).status(), 413);
  EXPECT_EQ(get({"Content-Length: 18446744073709551616"}).status(), 400);
  EXPECT_EQ(get({"Content-Length: 99999999999999999999999"}).status(), 400);
}

TEST(RequestHead, ContentLengthLosesItsLeadingZeros) {
  for (const auto& [given, kept] :
       {std::pair{"007", "7"}, {"0", "0"}, {"000", "0"}, {"0010", "10"}}) {
    const Parsed head = get({"Content-Length: " + std::string(given)});
    ASSERT_EQ(head.status(), 0) << given;
    EXPECT_EQ(head->fields[1].value, kept) << given;
  }
}

TEST(RequestHead, ContentLengthThatIsNoNumberIs400) {
  for (const char* value : {"", "+5", "-5", "5 5", "5,5", "5, 5", "0x5", "5a",
                            "a", "5.0", "\"5\"", "1e3"}) {
    EXPECT_EQ(get({"Content-Length: " + std::string(value)}).status(), 400)
        << value;
  }
}

TEST(RequestHead, TwoContentLengthsAre400EvenIfEqual) {
  EXPECT_EQ(get({"Content-Length: 5", "Content-Length: 5"}).status(), 400);
  EXPECT_EQ(get({"Content-Length: 5", "content-length: 6"}).status(), 400);
  EXPECT_EQ(get({"Content-Length: 0", "Content-Length: 0"}).status(), 400);
}

TEST(RequestHead, ChunkedIsTheBodysFraming) {
  for (const char* value : {"chunked", "Chunked", "CHUNKED", " chunked "}) {
    const Parsed head = get({"Transfer-Encoding:" + std::string(value)});
    ASSERT_EQ(head.status(), 0) << value;
    EXPECT_EQ(head->framing, BodyFraming::kChunked) << value;
  }
}

TEST(RequestHead, ContentLengthBesideTransferEncodingIs400) {
  EXPECT_EQ(get({"Content-Length: 5", "Transfer-Encoding: chunked"}).status(),
            400);
  EXPECT_EQ(get({"Transfer-Encoding: chunked", "Content-Length: 5"}).status(),
            400);
  EXPECT_EQ(get({"Transfer-Encoding: chunked", "Content-Length: 0"}).status(),
            400);
  EXPECT_EQ(get({"Content-Length: 0", "Transfer-Encoding: chunked"}).status(),
            400);
}

TEST(RequestHead, UnknownCodingBeforeChunkedIs501) {
  EXPECT_EQ(get({"Transfer-Encoding: gzip, chunked"}).status(), 501);
  EXPECT_EQ(get({"Transfer-Encoding: foo;q=1,chunked"}).status(), 501);
}

TEST(RequestHead, TransferEncodingThatDoesNotEndInChunkedIs400) {
  for (const char* value :
       {"gzip", "identity", "chunked, gzip", "chunked;foo=bar", "xchunked",
        "chunkedx", "\"chunked\"", "chunked\x0b", ",", ""}) {
    EXPECT_EQ(get({"Transfer-Encoding: " + std::string(value)}).status(), 400)
        << value;
  }
}

TEST(RequestHead, ChunkedTwiceIsRefused) {
  EXPECT_EQ(get({"Transfer-Encoding: chunked", "Transfer-Encoding: chunked"})
                .status(),
            400);
  const int status = get({"Transfer-Encoding: chunked, chunked"}).status();
  EXPECT_TRUE(status == 400 || status == 501) << status;
}

TEST(RequestHead, TransferEncodingInHttp10Is400) {
  EXPECT_EQ(get({"Transfer-Encoding: chunked"}, "HTTP/1.0").status(), 400);
}

// ------------------------------------------------------------- connections

TEST(RequestHead, KeepAliveGoesByVersionAndConnection) {
  EXPECT_TRUE(get({})->keep_alive);
  EXPECT_TRUE(get({"Connection: keep-alive"})->keep_alive);
  EXPECT_FALSE(get({"Connection: close"})->keep_alive);
  EXPECT_FALSE(get({"Connection: CLOSE"})->keep_alive);
  EXPECT_FALSE(get({"Connection: foo,close , bar"})->keep_alive);
  EXPECT_FALSE(get({"Connection: keep-alive", "Connection: close"})
                   ->keep_alive);
  EXPECT_FALSE(get({"Connection: close, keep-alive"})->keep_alive);
  EXPECT_TRUE(get({"Connection: closed"})->keep_alive);
  EXPECT_FALSE(get({}, "HTTP/1.0")->keep_alive);
  EXPECT_TRUE(get({"Connection: Keep-Alive"}, "HTTP/1.0")->keep_alive);
  EXPECT_FALSE(get({"Connection: keep-alive, close"}, "HTTP/1.0")->keep_alive);
}

TEST(RequestHead, UpgradeIsNamedAndThere) {
  EXPECT_TRUE(
      get({"Connection: upgrade", "Upgrade: websocket"})->upgrade);
  EXPECT_FALSE(get({"Upgrade: websocket"})->upgrade);
  EXPECT_FALSE(get({"Connection: Upgrade"})->upgrade);
}

TEST(RequestHead, ExpectContinueIsForHttp11) {
  EXPECT_TRUE(get({"Expect: 100-continue"})->expect_continue);
  EXPECT_TRUE(get({"Expect: 100-Continue"})->expect_continue);
  EXPECT_FALSE(get({})->expect_continue);
  const Parsed old = get({"Expect: 100-continue"}, "HTTP/1.0");
  EXPECT_EQ(old.status(), 0);
  EXPECT_FALSE(old->expect_continue);
}

TEST(RequestHead, OtherExpectationsAre417) {
  EXPECT_EQ(get({"Expect: 200-ok"}).status(), 417);
  EXPECT_EQ(get({"Expect:"}).status(), 417);
}

// ------------------------------------------------------------------ fields

TEST(RequestHead, ValuesAreTrimmed) {
  const Parsed head =
      get({"A:  \t two  words \t ", "B:", "C: \t ", "D:x", "E: \x80\xff"});
  ASSERT_EQ(head.status(), 0) << head.problem.reason;
  ASSERT_EQ(head->field_count, 6U);
  EXPECT_EQ(head->fields[1].value, "two  words");
  EXPECT_EQ(head->fields[2].value, "");
  EXPECT_EQ(head->fields[3].value, "");
  EXPECT_EQ(head->fields[4].value, "x");
  EXPECT_EQ(head->fields[5].value, "\x80\xff");
  EXPECT_EQ(head->fields[1].name, "A");
}

TEST(RequestHead, FieldsKeepTheirOrderAndSpelling) {
  const Parsed head = get({"X-One: 1", "x-TWO: 2", "X-One: 3"});
  ASSERT_EQ(head->field_count, 4U);
  EXPECT_EQ(head->fields[1].name, "X-One");
  EXPECT_EQ(head->fields[2].name, "x-TWO");
  EXPECT_EQ(head->fields[3].value, "3");
}

TEST(RequestHead, EqualNamesHaveEqualHashes) {
  const Parsed head = get({"X-Name: 1", "x-nAmE: 2", "X-Mane: 3"});
  ASSERT_EQ(head->field_count, 4U);
  EXPECT_EQ(head->fields[1].name_hash, head->fields[2].name_hash);
  EXPECT_NE(head->fields[1].name_hash, head->fields[3].name_hash);
}

TEST(RequestHead, NamesThatRepeatAreNoticed) {
  EXPECT_TRUE(get({"X-Name: 1", "x-nAmE: 2"})->names_may_repeat);
  EXPECT_TRUE(get({"X-Name: 1", "Y: 2", "x-name: 2"})->names_may_repeat);
  EXPECT_FALSE(get({})->names_may_repeat);
}

TEST(RequestHead, FieldsKnowTheirRules) {
  const Parsed head = get({"COOKIE: a=b", "X-Other: c"});
  EXPECT_EQ(head->fields[0].rule->id, Header::kHost);
  EXPECT_EQ(head->fields[1].rule->id, Header::kCookie);
  EXPECT_EQ(head->fields[2].rule->id, Header::kOther);
  ASSERT_NE(head->find(Header::kCookie), nullptr);
  EXPECT_EQ(head->find(Header::kCookie)->value, "a=b");
  EXPECT_EQ(head->find(Header::kUpgrade), nullptr);
}

TEST(RequestHead, MalformedFieldsAre400) {
  for (const char* line : {"no colon", "na me: x", "name : x",
                           "na\x01me: x", "(name): x", "n\x80me: x", "name",
                           "@: x", "a/b: x"}) {
    EXPECT_EQ(get({line}).status(), 400) << line;
  }
}

// The parser behind it lets an empty name pass.
TEST(RequestHead, FieldWithoutNameIs400) {
  EXPECT_EQ(get({": x"}).status(), 400);
  EXPECT_EQ(get({":"}).status(), 400);
}

TEST(RequestHead, FieldsWithoutNameAreCountedToo) {
  const int status = get(std::vector<std::string>(1000, ": x")).status();
  EXPECT_TRUE(status == 400 || status == 431) << status;
}

TEST(RequestHead, SingletonsAreRefusedTwice) {
  EXPECT_EQ(get({"Content-Type: a/b", "Content-Type: c/d"}).status(), 400);
  EXPECT_EQ(get({"Cookie: a", "Cookie: b"}).status(), 0);
}

TEST(RequestHead, AsManyFieldsAsThereIsRoomFor) {
  std::vector<std::string> lines;
  for (std::size_t i = 1; i < RequestHead::kFieldsMax; ++i) {
    lines.push_back("N" + std::to_string(i) + ": v" + std::to_string(i));
  }
  const Parsed all = get(lines);
  ASSERT_EQ(all.status(), 0) << all.problem.reason;
  EXPECT_EQ(all->field_count, RequestHead::kFieldsMax);
  EXPECT_EQ(all->fields[127].name, "N127");
  EXPECT_EQ(all->fields[127].value, "v127");
  lines.push_back("One-More: x");
  EXPECT_EQ(get(lines).status(), 431);
  lines.assign(1000, "X: y");
  EXPECT_EQ(get(lines).status(), 431);
}

TEST(RequestHead, NothingOfTheHeadBeforeIsLeft) {
  RequestHead head;
  const std::string first =
      "POST http://one.example/a?b HTTP/1.1\r\nHost: x\r\nA: b\r\nC: d\r\n"
      "Expect: 100-continue\r\nConnection: close, upgrade\r\nUpgrade: z\r\n"
      "Content-Length: 7\r\n\r\n";
  ASSERT_EQ(parse_request_head(first, head).status, 0);
  const std::string second = "GET / HTTP/1.0\r\nE:\r\n\r\n";
  ASSERT_EQ(parse_request_head(second, head).status, 0);
  EXPECT_EQ(head.method, "GET");
  EXPECT_EQ(head.query, "");
  EXPECT_EQ(head.authority, "");
  EXPECT_EQ(head.field_count, 1U);
  EXPECT_EQ(head.fields[0].name, "E");
  EXPECT_EQ(head.fields[0].value, "");
  EXPECT_EQ(head.framing, BodyFraming::kNone);
  EXPECT_EQ(head.content_length, 0U);
  EXPECT_FALSE(head.expect_continue);
  EXPECT_FALSE(head.upgrade);
  EXPECT_FALSE(head.keep_alive);
  EXPECT_EQ(head.minor_version, 0);
}

TEST(RequestHead, WhatFollowsTheHeadIsNoConcern) {
  const Parsed head(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HT");
  EXPECT_EQ(head.status(), 0);
  EXPECT_EQ(head->content_length, 3U);
}

}  // namespace
}  // namespace fealty::http
