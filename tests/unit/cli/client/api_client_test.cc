#include "cli/client/api_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

#include "tests/unit/cli/support.h"

namespace fealty::cli {
namespace {

using testing::HasSubstr;

// Answers one request by `head`, and then by `piece` again and again.
class Endless {
 public:
  Endless(std::string head, std::string piece, int pause_ms)
      : listener_(SOCK_STREAM),
        thread_([this, head = std::move(head), piece = std::move(piece),
                 pause_ms] { serve(head, piece, pause_ms); }) {}
  ~Endless() {
    is_over_ = true;
    thread_.join();
  }
  Endless(const Endless&) = delete;
  Endless& operator=(const Endless&) = delete;
  [[nodiscard]] const Address& at() const { return listener_.at; }

 private:
  void serve(const std::string& head, const std::string& piece, int pause_ms) {
    pollfd come = {listener_.fd.get(), POLLIN, 0};
    if (::poll(&come, 1, 10'000) != 1) return;
    const UniqueFd client(::accept(listener_.fd.get(), nullptr, nullptr));
    const auto send = [&](const std::string& text) {
      // Not waited for: who stopped reading would be, for minutes.
      return ::send(client.get(), text.data(), text.size(),
                    MSG_NOSIGNAL | MSG_DONTWAIT) > 0 ||
             errno == EAGAIN;
    };
    for (bool goes_on = send(head); goes_on && !is_over_; goes_on = send(piece)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
    }
  }

  test::Bound listener_;
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

// Why there is no answer, if that is known in half of ten seconds.
std::string trouble(const Endless& server, std::int64_t timeout_ms) {
  ApiClient::Settings settings{server.at()};
  settings.timeout_ms = timeout_ms;
  settings.attempts = 1;
  const auto begin = std::chrono::steady_clock::now();
  const auto answer = ApiClient(settings).send({"GET", "/"});
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  return answer ? "answered" : answer.error().message;
}

TEST(ApiClient, WhoDripsHoldsNobodyUp) {
  const Endless head("HTTP/1.1 200 OK\r\nX-Drip: ", "x", 20);
  EXPECT_THAT(trouble(head, 300), HasSubstr("in time"));
  const Endless body("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", "x", 20);
  EXPECT_THAT(trouble(body, 300), HasSubstr("in time"));
}

TEST(ApiClient, HeadersWithoutEndAreNotRead) {
  const Endless server("HTTP/1.1 200 OK\r\nX-Long: ", std::string(1 << 20, 'x'), 1);
  EXPECT_THAT(trouble(server, 30'000), HasSubstr("breaks off"));
}

}  // namespace
}  // namespace fealty::cli
