#include "cli/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <optional>
#include <string>
#include <utility>

#include "support.h"

namespace fealty::cli {
namespace {

using testing::HasSubstr;
using Finding = Check::Finding;

TEST(HttpStatus, IsTheFirstLinesNumber) {
  EXPECT_EQ(http_status("HTTP/1.1 200 OK\r\n"), 200);
  EXPECT_EQ(http_status("HTTP/1.0 404\r\n"), 404);
  for (const char* const part : {"", "H", "HTTP/1.1 20", "HTTP/1.1 200 O"}) {
    EXPECT_EQ(http_status(part), 0) << part;
  }
  for (const char* const other :
       {"SSH-2.0\r\n", "HTTP/2 200\r\n", "HTTP/1.1 2x0 \n", "HTTP/1.1\n",
        "HTTP/1.1 20\n", "\n", "HTTP/1.12200\n"}) {
    EXPECT_EQ(http_status(other), -1) << other;
  }
}

class CheckTest : public testing::Test {
 protected:
  // Looks once; `serve` is asked to act with each turn of the loop.
  std::pair<Finding, std::string> look(
      const std::function<void()>& serve = [] {}) {
    std::optional<std::pair<Finding, std::string>> found;
    Check check(loop_, target_, [&](Finding finding, const std::string& why) {
      found = {finding, why};
    });
    check.start();
    EXPECT_TRUE(test::run_until(loop_, [&] {
      serve();
      return found.has_value();
    }));
    return found.value_or(std::pair(Finding::kBad, std::string("never")));
  }

  // Takes one connection and answers with `text` at once.
  std::pair<Finding, std::string> look_with_answer(const std::string& text) {
    const test::Bound server(SOCK_STREAM);
    target_.addresses = {server.at};
    target_.request = "GET / HTTP/1.1\r\n\r\n";
    UniqueFd connection;
    return look([&] {
      if (!connection.valid()) {
        connection.reset(::accept4(server.fd.get(), nullptr, nullptr,
                                   SOCK_CLOEXEC | SOCK_NONBLOCK));
      }
      char request[100];
      if (::recv(connection.get(), request, sizeof request, 0) <= 0) return;
      ::send(connection.get(), text.data(), text.size(), MSG_NOSIGNAL);
      ::shutdown(connection.get(), SHUT_WR);
    });
  }

  Loop loop_;
  test::TempDir directory_;
  CheckTarget target_;
};

TEST_F(CheckTest, AConnectionIsEnoughWithoutARequest) {
  const test::Bound tcp(SOCK_STREAM);
  target_.addresses = {tcp.at};
  EXPECT_EQ(look().first, Finding::kAnswers);
  const test::Bound unix(SOCK_STREAM, test::address(directory_ / "s"));
  target_.addresses = {unix.at};
  EXPECT_EQ(look().first, Finding::kAnswers);
}

TEST_F(CheckTest, NobodyListensIsKnownAtOnce) {
  Address gone;
  {
    const test::Bound was(SOCK_STREAM);
    gone = was.at;
  }
  target_.addresses = {gone};
  EXPECT_EQ(look().first, Finding::kNobody);
  target_.addresses = {test::address(directory_ / "absent")};
  EXPECT_EQ(look().first, Finding::kNobody);
}

TEST_F(CheckTest, TheNextAddressIsTried) {
  const test::Bound server(SOCK_STREAM);
  target_.addresses = {test::address(directory_ / "absent"), server.at};
  EXPECT_EQ(look().first, Finding::kAnswers);
}

TEST_F(CheckTest, AFullBacklogOfAUnixSocketIsSomebodysLife) {
  const test::Bound unix(SOCK_STREAM, test::address(directory_ / "s"));
  std::vector<UniqueFd> waiting;
  int error = 0;
  while (error == 0) {
    waiting.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    const int done = ::connect(waiting.back().get(), unix.at.data(),
                               unix.at.length());
    error = done == 0 ? 0 : errno;
  }
  EXPECT_EQ(error, EAGAIN);
  target_.addresses = {unix.at};
  EXPECT_EQ(look().first, Finding::kAnswers);
}

TEST_F(CheckTest, TwoAndThreeHundredsAreAnswers) {
  EXPECT_EQ(look_with_answer("HTTP/1.1 204 No Content\r\n\r\n").first,
            Finding::kAnswers);
  EXPECT_EQ(look_with_answer("HTTP/1.1 302 Found\r\n").first,
            Finding::kAnswers);
}

TEST_F(CheckTest, OtherAnswersAreBadAndSaidWhy) {
  const auto busy = look_with_answer("HTTP/1.1 503 Busy\r\n\r\n");
  EXPECT_EQ(busy.first, Finding::kBad);
  EXPECT_THAT(busy.second, HasSubstr("503"));
  const auto other = look_with_answer("SSH-2.0\r\n");
  EXPECT_EQ(other.first, Finding::kBad);
  EXPECT_THAT(other.second, HasSubstr("does not speak HTTP"));
  const auto nothing = look_with_answer("");
  EXPECT_EQ(nothing.first, Finding::kBad);
  EXPECT_THAT(nothing.second, HasSubstr("unanswered"));
}

}  // namespace
}  // namespace fealty::cli
