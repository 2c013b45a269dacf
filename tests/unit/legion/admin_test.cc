#include "legion/admin.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace fealty::legion {
namespace {

TEST(AdminRequestLine, MethodAndPathAreRead) {
  const RequestLine line =
      parse_request_line("GET /metrics?a=b HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(line.method, "GET");
  EXPECT_EQ(line.path, "/metrics");
}

TEST(AdminRequestLine, AnythingElseIsNone) {
  for (const char* const text :
       {"", "GET", "GET /", "GET / HTTP/2\r\n", "GET x HTTP/1.1\r\n",
        "GET / y HTTP/1.1\r\n", "\r\n\r\n", "GET /"}) {
    EXPECT_TRUE(parse_request_line(text).method.empty()) << text;
  }
}

class AdminTest : public testing::Test {
 protected:
  AdminTest()
      : path_("/tmp/fealty-admin-" + std::to_string(::getpid()) + ".sock"),
        admin_(loop_, [](std::string_view path) {
          return Admin::Answer{200, "text/plain", "asked " + std::string(path)};
        }) {
    const auto address = Address::parse(path_);
    EXPECT_TRUE(address && admin_.bind({*address}));
    admin_.start();
  }
  // All that comes back for `request`, which the loop serves meanwhile.
  std::string ask(std::string_view request) {
    const UniqueFd client(
        ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const auto address = Address::parse(path_);
    EXPECT_EQ(::connect(client.get(), address->data(), address->length()), 0);
    if (!request.empty()) {
      EXPECT_GT(::send(client.get(), request.data(), request.size(), 0), 0);
    }
    std::string out;
    for (;;) {
      loop_.run_once();
      char bytes[4096];
      const ssize_t got = ::recv(client.get(), bytes, sizeof bytes, 0);
      if (got == 0) return out;
      if (got > 0) out.append(bytes, static_cast<std::size_t>(got));
    }
  }

  std::string path_;
  Loop loop_;
  Admin admin_;
};

TEST_F(AdminTest, AnswersGet) {
  const std::string answer = ask("GET /healthz HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\nasked /healthz")) << answer;
}

TEST_F(AdminTest, HeadHasNoBody) {
  const std::string answer = ask("HEAD / HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(answer.ends_with("\r\n\r\n")) << answer;
  EXPECT_NE(answer.find("Content-Length: 7\r\n"), std::string::npos);
}

TEST_F(AdminTest, OtherMethodsAndNonsenseAreRefused) {
  EXPECT_TRUE(
      ask("POST / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
  EXPECT_TRUE(ask("what\r\n\r\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(ask(std::string(9'000, 'x')).starts_with("HTTP/1.1 400 "));
}

TEST_F(AdminTest, SilenceGetsTheStatsAlone) { EXPECT_EQ(ask(""), "asked /"); }

}  // namespace
}  // namespace fealty::legion
