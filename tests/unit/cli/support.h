#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/loop.h"
#include "cli/arguments.h"
#include "cli/plan.h"

// What the tests of this room share.
namespace fealty::cli::test {

class TempDir {
 public:
  TempDir() {
    std::string name =
        (std::filesystem::temp_directory_path() / "fealty-test-XXXXXX")
            .string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] std::string operator/(std::string_view name) const {
    return path_ + "/" + std::string(name);
  }

 private:
  std::string path_;
};

inline void write_file(const std::string& path, std::string_view text,
                       unsigned mode = 0600) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  std::filesystem::permissions(path, static_cast<std::filesystem::perms>(mode));
  EXPECT_TRUE(out) << path;
}

inline Address address(std::string_view text) {
  const auto parsed = Address::parse(text);
  EXPECT_TRUE(parsed) << text;
  return parsed ? *parsed : Address();
}

// A bound socket, and where.
struct Bound {
  explicit Bound(int type, const Address& wanted = address("127.0.0.1:0"))
      : fd(::socket(wanted.family(), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    EXPECT_EQ(::bind(fd.get(), wanted.data(), wanted.length()), 0);
    if (type == SOCK_STREAM) EXPECT_EQ(::listen(fd.get(), 8), 0);
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &length);
    at = Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&bound),
                                length);
  }
  UniqueFd fd;
  Address at;
};

// Turns the loop until `condition`, for at most ten seconds.
inline bool run_until(Loop& loop, const std::function<bool()>& condition) {
  struct Alarm {
    void ring() {}
  } alarm;
  TimerWatcher tick;
  tick.bind<&Alarm::ring>(loop, &alarm);
  tick.start(1, 1);
  const SystemClock clock;
  const std::int64_t end_ms = clock.monotonic_ms() + 10'000;
  while (!condition()) {
    if (clock.monotonic_ms() > end_ms) return false;
    loop.run_once();
  }
  return true;
}

inline SubscribeArguments typed() {
  SubscribeArguments arguments;
  arguments.servers = {"127.0.0.1:2626"};
  arguments.keys = {"example.com"};
  arguments.address = "127.0.0.1:3000";
  return arguments;
}

inline Plan planned(const SubscribeArguments& arguments = typed()) {
  auto plan = make_plan(arguments);
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().message);
  return plan ? *plan : Plan();
}

}  // namespace fealty::cli::test
