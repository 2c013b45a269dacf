#include "http/response_head.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/http/random_text.h"

namespace fealty::http {
namespace {

using namespace std::string_literals;
using Body = ClientFraming::Body;

constexpr ClientFraming kKeep{Body::kAsIs, true, 1};
constexpr ClientFraming kChunkedOut{Body::kChunked, true, 1};
constexpr ClientFraming kClosing{Body::kClose, false, 0};
constexpr ClientFraming kOldKeep{Body::kAsIs, true, 0};

bool parses(const std::string& bytes, bool to_head = false) {
  ResponseHead head;
  return parse_response_head(bytes, to_head, head);
}

std::optional<AnswerFraming> framing_of(const std::string& bytes,
                                        bool to_head = false) {
  ResponseHead head;
  if (!parse_response_head(bytes, to_head, head)) return std::nullopt;
  return head.framing;
}

// "" where the head is refused.
std::string rewritten(const std::string& bytes,
                      const ClientFraming& framing = kKeep,
                      bool to_head = false) {
  ResponseHead head;
  if (!parse_response_head(bytes, to_head, head)) return "";
  std::string out(bytes.size() * 2 + kRewriteOverhead, '\0');
  out.resize(write_response_head(head, framing, out));
  return out;
}

bool keeps(const std::string& bytes, bool to_head = false) {
  ResponseHead head;
  EXPECT_TRUE(parse_response_head(bytes, to_head, head));
  return head.keep_alive;
}

// A head with these lines after "HTTP/1.1 200 OK".
std::string answer(const std::vector<std::string>& lines) {
  std::string text = "HTTP/1.1 200 OK\r\n";
  for (const std::string& line : lines) text += line + "\r\n";
  return text + "\r\n";
}

bool has_line(const std::string& head, const std::string& line) {
  return head.find("\r\n" + line + "\r\n") != std::string::npos;
}

// ------------------------------------------------------------- find_head_end

TEST(FindHeadEnd, HeadEndsWithItsEmptyLine) {
  EXPECT_EQ(find_head_end("HTTP/1.1 200 OK\r\n\r\nbody"), 19U);
  EXPECT_EQ(find_head_end("HTTP/1.1 200 OK\n\nbody"), 17U);
  EXPECT_EQ(find_head_end("HTTP/1.1 200 OK\r\nA: b\n\nbody"), 23U);
  EXPECT_EQ(find_head_end("HTTP/1.1 200 OK\nA: b\r\n\r\n"), 24U);
  EXPECT_EQ(find_head_end("a\n\r\n"), 4U);
}

TEST(FindHeadEnd, IncompleteHeadHasNone) {
  const std::string head = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
  for (std::size_t cut = 0; cut < head.size(); ++cut) {
    EXPECT_EQ(find_head_end(head.substr(0, cut)), 0U) << cut;
  }
  EXPECT_EQ(find_head_end(head), head.size());
}

TEST(FindHeadEnd, BareCarriageReturnsAreNoLineEnds) {
  EXPECT_EQ(find_head_end("a\r\rb\r\r"), 0U);
  EXPECT_EQ(find_head_end("a\n\rb\n"), 0U);
  EXPECT_EQ(find_head_end("a\n\r\rb\r\n\r\n"), 9U);
}

// --------------------------------------------------------------- status line

TEST(ResponseHead, StatusAndReasonAreRead) {
  ResponseHead head;
  ASSERT_TRUE(parse_response_head("HTTP/1.0 404 Not  here\r\n\r\n", false,
                                  head));
  EXPECT_EQ(head.status, 404);
  EXPECT_EQ(head.reason, "Not  here");
  EXPECT_EQ(head.fields, "");
  EXPECT_EQ(head.framing, AnswerFraming::kClose);
}

TEST(ResponseHead, ReasonMayBeMissing) {
  for (const char* line : {"HTTP/1.1 200", "HTTP/1.1 200 "}) {
    ResponseHead head;
    ASSERT_TRUE(parse_response_head(line + "\r\n\r\n"s, false, head)) << line;
    EXPECT_EQ(head.reason, "");
    EXPECT_EQ(rewritten(line + "\r\n\r\n"s), "HTTP/1.1 200 \r\n\r\n");
  }
}

TEST(ResponseHead, MalformedStatusLinesAreRefused) {
  for (const auto& line :
       {""s, "HTTP/1.1"s, "HTTP/1.1 "s, "HTTP/1.1 20"s, "HTTP/1.1 2000 OK"s,
        "HTTP/1.1 20x OK"s, "HTTP/1.1 099 OK"s, "HTTP/1.1 000 OK"s,
        "HTTP/1.1 -20 OK"s, "HTTP/1.1 +20 OK"s, "HTTP/1.1  200 OK"s,
        "HTTP/1.1200 OK"s, "HTTP/1.1\t200 OK"s, "HTTP/2.0 200 OK"s,
        "HTTP/1.x 200 OK"s, "HTTP/11 200 OK"s, "http/1.1 200 OK"s,
        " HTTP/1.1 200 OK"s, "HTTPS/1.1 200 OK"s, "Status: 200 OK"s,
        "HTTP/1.1 200\tOK"s, "HTTP/1.1 200 O\x01K"s, "HTTP/1.1 200 O\rK"s,
        "HTTP/1.1 200 OK\r"s, "HTTP/1.1 200 O\0K"s, "HTTP/1.1 200 O\x7fK"s}) {
    EXPECT_FALSE(parses(line + "\r\n\r\n")) << testing::PrintToString(line);
  }
}

// -------------------------------------------------------------------- fields

TEST(ResponseHead, MalformedFieldsAreRefused) {
  for (const auto& line :
       {"no colon"s, ": no name"s, "a b: c"s, "a : b"s, " folded"s,
        "\tfolded: yes"s, "a: b\rc"s, "a: \x01"s, "a: b\0c"s, "a: \x7f"s,
        "(a): b"s, "a\x80: b"s, "a\": b"s, "a,b: c"s, "a/b: c"s, "a;b: c"s,
        "a=b: c"s, "a[b: c"s, "a\\b: c"s, "a{b: c"s, "a}b: c"s, "a@b: c"s}) {
    EXPECT_FALSE(parses(answer({line}))) << testing::PrintToString(line);
    EXPECT_FALSE(parses("HTTP/1.1 200 OK\n" + line + "\n\n"))
        << testing::PrintToString(line);
  }
  EXPECT_FALSE(parses(answer({"a: b\r"})));
}

TEST(ResponseHead, FieldsOfTheGrammarPass) {
  for (const auto& line :
       {"A:"s, "A: "s, "A: b"s, "A:b"s, "A: \t b \t "s, "A: \x80\xff"s,
        "!#$%&'*+-.^_`|~09az: x"s, "A: b: c"s, "A: \"q\" (c) <x>"s}) {
    EXPECT_TRUE(parses(answer({line}))) << line;
  }
}

TEST(ResponseHead, AsManyFieldsAsAreTaken) {
  std::vector<std::string> lines(kResponseFieldsMax, "A: b");
  EXPECT_TRUE(parses(answer(lines)));
  lines.emplace_back("A: b");
  EXPECT_FALSE(parses(answer(lines)));
}

// ------------------------------------------------------------------- framing

TEST(ResponseHead, FramingIsReadOffTheFields) {
  EXPECT_EQ(framing_of(answer({})), AnswerFraming::kClose);
  EXPECT_EQ(framing_of(answer({"Content-Length: 5"})), AnswerFraming::kLength);
  EXPECT_EQ(framing_of(answer({"Content-Length: 0"})), AnswerFraming::kLength);
  EXPECT_EQ(framing_of(answer({"Transfer-Encoding: chunked"})),
            AnswerFraming::kChunked);
  EXPECT_EQ(framing_of(answer({"transfer-encoding:CHUNKED"})),
            AnswerFraming::kChunked);
}

TEST(ResponseHead, ContentLengthIsKept) {
  ResponseHead head;
  ASSERT_TRUE(parse_response_head(
      answer({"Content-Length: 18446744073709551615"}), false, head));
  EXPECT_EQ(head.content_length, UINT64_MAX);
  EXPECT_TRUE(head.has_content_length);
}

TEST(ResponseHead, SameLengthTwiceIsNoContradiction) {
  EXPECT_EQ(framing_of(answer({"Content-Length: 5", "content-length: 5"})),
            AnswerFraming::kLength);
}

TEST(ResponseHead, ContradictoryFramingIsRefused) {
  EXPECT_FALSE(parses(answer({"Content-Length: 5", "Content-Length: 6"})));
  EXPECT_FALSE(
      parses(answer({"Content-Length: 5", "Transfer-Encoding: chunked"})));
  EXPECT_FALSE(
      parses(answer({"Transfer-Encoding: chunked", "Content-Length: 5"})));
  EXPECT_FALSE(parses(
      answer({"Transfer-Encoding: chunked", "Transfer-Encoding: chunked"})));
}

TEST(ResponseHead, UnknownFramingIsRefused) {
  for (const char* value : {"gzip", "gzip, chunked", "identity", "chunked, x",
                            "", "chunked;a=b"}) {
    EXPECT_FALSE(parses(answer({"Transfer-Encoding: "s + value}))) << value;
  }
  for (const char* value : {"", "x", "-1", "+1", "5 5", "5,5", "0x5", "5.",
                            "18446744073709551616"}) {
    EXPECT_FALSE(parses(answer({"Content-Length: "s + value}))) << value;
  }
}

TEST(ResponseHead, AnswersWithoutBodyHaveNoFraming) {
  for (const char* status : {"100", "101", "103", "199", "204", "304"}) {
    for (const char* line :
         {"A: b", "Content-Length: 5", "Transfer-Encoding: chunked"}) {
      EXPECT_EQ(framing_of("HTTP/1.1 "s + status + " X\r\n" + line +
                           "\r\n\r\n"),
                AnswerFraming::kNone)
          << status << line;
    }
  }
  EXPECT_EQ(framing_of(answer({"Content-Length: 5"}), true),
            AnswerFraming::kNone);
  EXPECT_EQ(framing_of(answer({}), true), AnswerFraming::kNone);
  EXPECT_EQ(framing_of(answer({"Transfer-Encoding: chunked"}), true),
            AnswerFraming::kNone);
}

TEST(ResponseHead, InterimIsTheHundreds) {
  ResponseHead head;
  for (const auto& [status, interim] :
       {std::pair{"100", true}, {"103", true}, {"199", true}, {"200", false},
        {"304", false}}) {
    ASSERT_TRUE(parse_response_head("HTTP/1.1 "s + status + "\r\n\r\n", false,
                                    head));
    EXPECT_EQ(head.interim(), interim) << status;
  }
}

// --------------------------------------------------------------- the rewrite

TEST(RewrittenHead, EndToEndFieldsPassUnchangedAndInOrder) {
  EXPECT_EQ(rewritten("HTTP/1.0 201 Made\r\nServer: s\r\nSet-Cookie: a=b\r\n"
                      "Set-Cookie: c=d\r\nX-Odd:  spaced  \r\n"
                      "Content-Length: 3\r\n\r\n"),
            "HTTP/1.1 201 Made\r\nServer: s\r\nSet-Cookie: a=b\r\n"
            "Set-Cookie: c=d\r\nX-Odd:  spaced  \r\nContent-Length: 3\r\n\r\n");
}

TEST(RewrittenHead, LineFeedsBecomeCrlf) {
  EXPECT_EQ(rewritten("HTTP/1.1 200 OK\nA: b\nC: d\n\n"),
            "HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n");
}

TEST(RewrittenHead, HopByHopFieldsGo) {
  const std::string out = rewritten(
      answer({"Connection: keep-alive", "Keep-Alive: timeout=5",
              "Proxy-Connection: x", "TE: trailers", "Trailer: X-Sum",
              "Upgrade: h2c", "Transfer-Encoding: chunked", "A: b"}),
      kChunkedOut);
  EXPECT_EQ(out,
            "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST(RewrittenHead, FieldsNamedByConnectionGo) {
  const std::string out = rewritten(
      answer({"X-Hop: 1", "Connection: close, x-HOP", "X-Hop: 2", "X-Hopp: 3",
              "Connection: X-Other", "x-other: 4", "A: b"}));
  EXPECT_EQ(out, "HTTP/1.1 200 OK\r\nX-Hopp: 3\r\nA: b\r\n\r\n");
}

TEST(RewrittenHead, MoreConnectionOptionsThanAreKeptAreRefused) {
  std::string options;
  for (std::size_t i = 0; i < ResponseHead::kConnectionOptionsMax; ++i) {
    options += (i == 0 ? "x-" : ", x-") + std::to_string(i);
  }
  EXPECT_EQ(rewritten(answer({"X-0: a", "X-7: b", "Connection: close, " +
                                                      options + ", te"})),
            "HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_FALSE(
      parses(answer({"Connection: " + options, "Connection: one-more"})));
  EXPECT_FALSE(parses(answer({"Connection: " + options + ", one-more"})));
}

// The router's framing hangs on Content-Length: without it the client would
// take the next answer on the connection for this one's body.
TEST(RewrittenHead, ContentLengthStaysEvenIfConnectionNamesIt) {
  for (const char* options :
       {"content-length", "x-foo, content-length", "Content-Length, close",
        "close, x-foo, CONTENT-LENGTH"}) {
    const std::string out = rewritten(
        answer({"Connection: "s + options, "Content-Length: 5", "X-Foo: y"}));
    EXPECT_TRUE(has_line(out, "Content-Length: 5")) << options;
  }
}

TEST(RewrittenHead, ChunkedForHttp11) {
  EXPECT_EQ(rewritten(answer({"A: b"}), kChunkedOut),
            "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST(RewrittenHead, LengthIsLeftOutWhereTheRouterFrames) {
  EXPECT_EQ(rewritten(answer({"Content-Length: 5"}), kChunkedOut),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(rewritten(answer({"Content-Length: 5"}), kClosing),
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
}

TEST(RewrittenHead, ConnectionIsToldByVersion) {
  EXPECT_EQ(rewritten(answer({}), kKeep), "HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_EQ(rewritten(answer({}), {Body::kAsIs, false, 1}),
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(rewritten(answer({}), kOldKeep),
            "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(rewritten(answer({}), {Body::kAsIs, false, 0}),
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
}

TEST(RewrittenHead, InterimSaysNothingOfTheConnection) {
  EXPECT_EQ(rewritten("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
                      {Body::kAsIs, false, 1}),
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
}

TEST(RewrittenHead, NoContentHasNoLength) {
  EXPECT_EQ(rewritten("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
            "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_TRUE(has_line(
      rewritten("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
      "Content-Length: 5"));
}

TEST(RewrittenHead, AnswerToHeadKeepsItsLength) {
  EXPECT_TRUE(has_line(rewritten(answer({"Content-Length: 5"}), kKeep, true),
                       "Content-Length: 5"));
}

TEST(RewrittenHead, NothingIsWrittenWhereItDoesNotFit) {
  const std::string bytes = answer({"A: b", "Content-Length: 5"});
  ResponseHead head;
  ASSERT_TRUE(parse_response_head(bytes, false, head));
  const std::size_t needed = rewritten(bytes).size();
  for (std::size_t room = 0; room <= needed; ++room) {
    std::string out(room, '!');
    EXPECT_EQ(write_response_head(head, kKeep, out), room == needed ? room : 0)
        << room;
  }
}

TEST(RewrittenHead, NeverGrowsBeyondItsBoundOrBreaksLines) {
  test::Random random;
  const std::vector<std::string> lines = {
      "A:", "B: c", "Connection: a, close", "Connection: keep-alive",
      "Content-Length: 7", "Transfer-Encoding: chunked", "Keep-Alive: 5",
      "D: \x80", "TE: x", "Set-Cookie: a=b; c"};
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = "HTTP/1." + std::string(1, random.of("01")) + " " +
                        random.text(1, "12345") + random.text(2, "0123456789");
    if (random.one_in(2)) bytes += " Reason";
    const auto end_line = [&] { bytes += random.one_in(2) ? "\n" : "\r\n"; };
    end_line();
    for (std::size_t i = random.below(8); i > 0; --i) {
      bytes += lines[random.below(lines.size())];
      end_line();
    }
    end_line();
    ResponseHead head;
    if (!parse_response_head(bytes, random.one_in(4), head)) continue;
    const ClientFraming framing{static_cast<Body>(random.below(3)),
                                random.one_in(2),
                                static_cast<int>(random.below(2))};
    const auto line_count = static_cast<std::size_t>(
        std::count(bytes.begin(), bytes.end(), '\n'));
    std::string out(bytes.size() + kRewriteOverhead + line_count, '\0');
    const std::size_t written = write_response_head(head, framing, out);
    ASSERT_GT(written, 0U) << testing::PrintToString(bytes);
    out.resize(written);
    ASSERT_EQ(find_head_end(out), out.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      ASSERT_EQ(out[i] == '\n', i > 0 && out[i - 1] == '\r');
    }
    ResponseHead again;
    ASSERT_TRUE(parse_response_head(out, false, again));
    ASSERT_EQ(again.status, head.status);
    ASSERT_EQ(again.reason, head.reason);
  }
}

TEST(ParseResponseHead, BodyAnnouncedWhereThereIsNoneKeepsNothing) {
  for (const char* status : {"204 No Content", "304 Not Modified"}) {
    const std::string line = "HTTP/1.1 "s + status + "\r\n";
    EXPECT_TRUE(keeps(line + "\r\n"));
    EXPECT_TRUE(keeps(line + "Content-Length: 0\r\n\r\n"));
    EXPECT_FALSE(keeps(line + "Content-Length: 3\r\n\r\n"));
    EXPECT_FALSE(keeps(line + "Transfer-Encoding: chunked\r\n\r\n"));
  }
  EXPECT_TRUE(keeps(answer({"Content-Length: 0"}), true));
  EXPECT_FALSE(keeps(answer({"Content-Length: 3"}), true));
  EXPECT_FALSE(keeps(answer({"Transfer-Encoding: chunked"}), true));
  EXPECT_FALSE(keeps(answer({}), true));
  EXPECT_TRUE(keeps(answer({"Content-Length: 3"})));
}

}  // namespace
}  // namespace fealty::http
