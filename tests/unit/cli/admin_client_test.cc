#include "cli/admin_client.h"

#include <gmock/gmock.h>
#include <fcntl.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "support.h"

namespace fealty::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(PercentEncoded, LeavesOnlyUnreservedBytes) {
  EXPECT_EQ(percent_encoded("aZ0-._~"), "aZ0-._~");
  EXPECT_EQ(percent_encoded("/run/x y&z=\xff"), "%2Frun%2Fx%20y%26z%3D%FF");
}

TEST(ParseAnswer, TakesHeadAndBodyApart) {
  const auto answer =
      parse_answer("HTTP/1.1 404 Not Found\r\ncontent-LENGTH: 2\r\n\r\nno");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 404);
  EXPECT_EQ(answer->body, "no");
}

TEST(ParseAnswer, RefusesWhatIsCutOrNoHttp) {
  for (const char* const none :
       {"", "{\"version\": 1}", "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nno", "x\r\n\r\n"}) {
    EXPECT_FALSE(parse_answer(none)) << none;
  }
}

TEST(AdminClient, SendsOneRequestAndReadsToTheEnd) {
  const test::Bound server(SOCK_STREAM);
  const int flags = ::fcntl(server.fd.get(), F_GETFL);
  ::fcntl(server.fd.get(), F_SETFL, flags & ~O_NONBLOCK);
  std::string request;
  std::thread serving([&] {
    const UniqueFd peer(::accept(server.fd.get(), nullptr, nullptr));
    char bytes[500];
    const ssize_t got = ::recv(peer.get(), bytes, sizeof bytes, 0);
    request.assign(bytes, static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    constexpr std::string_view kAnswer =
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";
    ::send(peer.get(), kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL);
  });
  const auto answer = AdminClient(server.at).request("POST", "/drain?key=k");
  serving.join();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "done");
  EXPECT_THAT(request, StartsWith("POST /drain?key=k HTTP/1.1\r\n"));
}

TEST(AdminClient, SaysWhatToLookAtWhereNobodyAnswers) {
  const test::TempDir directory;
  const auto answer = AdminClient(test::address(directory / "absent"))
                          .request("GET", "/");
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("--admin"));
}

}  // namespace
}  // namespace fealty::cli
