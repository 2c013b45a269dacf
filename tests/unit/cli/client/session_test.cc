#include "cli/client/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>

namespace fealty::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

Problem refused(int status, const std::string& body,
                const std::string& retry_after = "6") {
  ApiAnswer answer;
  answer.status = status;
  answer.body = body;
  answer.retry_after = retry_after;
  return refusal(answer, "https://api.test/api");
}

TEST(Refusal, SaysWhatTheApiSaid) {
  const Problem problem =
      refused(409, R"({"error": "Conflict", "reason": "name: taken\u001b[2J"})");
  EXPECT_EQ(problem.message, "the API says 409 Conflict: name: taken\\x1b[2J");
  EXPECT_EQ(problem.exit_code, kExitRun);
  EXPECT_EQ(problem.status, 409);
}

TEST(Refusal, SaysWhatToDoNext) {
  const Problem login = refused(401, R"({"error": "Unauthorized"})");
  EXPECT_THAT(login.message, HasSubstr("fealty login"));
  EXPECT_EQ(login.exit_code, kExitLogin);
  EXPECT_THAT(refused(403, R"({"error": "Forbidden"})").message,
              HasSubstr("not yours, or not there"));
  EXPECT_THAT(refused(429, R"({"error": "Too many"})").message,
              HasSubstr("in 6 s"));
  EXPECT_THAT(refused(429, R"({"error": "Too many"})", "").message,
              HasSubstr("try again later"));
}

TEST(Refusal, WhatIsNoApiIsNotTakenForOne) {
  const Problem problem = refused(404, "<html>\x1b" + std::string(5000, 'x'));
  EXPECT_THAT(problem.message, HasSubstr("is this its address?"));
  EXPECT_LT(problem.message.size(), 600U);
  EXPECT_THAT(problem.message, Not(HasSubstr("\x1b")));
  EXPECT_THAT(refused(301, "").message, HasSubstr("sends elsewhere"));
}

Problem asked(const char* admin) {
  const auto& all = client_commands();
  const auto at = std::find_if(all.begin(), all.end(), [](const auto& each) {
    return each.path == "admin news";
  });
  Session session({&*at, {{"--admin", {admin}}, {"--timeout", {"1s"}}}});
  const auto answer = session.get_list("/admin/news");
  return answer ? Problem("answered") : answer.error();
}

TEST(Admin, SecretsDoNotLeaveTheHost) {
  for (const char* const far : {"192.0.2.1:80", "[2001:db8::1]:80", "0.0.0.0:80"}) {
    EXPECT_EQ(asked(far).exit_code, kExitUsage) << far;
  }
  for (const char* const near : {"127.0.0.1:1", "[::1]:1", "unix:/nonexistent"}) {
    EXPECT_EQ(asked(near).exit_code, kExitRun) << near;
  }
}

Done throw_it(Session&) { throw std::runtime_error("so it is"); }

TEST(Run, WhatIsUnforeseenEndsACommandWith1) {
  const ClientCommand command = {"x", "y", throw_it};
  EXPECT_EQ(run_client_call({&command}), kExitRun);
}

TEST(Table, EveryCommandBelowAnotherHasThatOne) {
  for (const ClientCommand& command : client_commands()) {
    const std::size_t space = command.path.rfind(' ');
    if (space == std::string::npos) continue;
    const auto above = command.path.substr(0, space);
    const bool found = std::any_of(
        client_commands().begin(), client_commands().end(),
        [&](const ClientCommand& each) { return each.path == above; });
    EXPECT_TRUE(found) << command.path;
    EXPECT_NE(command.about, "");
  }
}

}  // namespace
}  // namespace fealty::cli
