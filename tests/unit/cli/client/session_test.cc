#include "cli/client/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace fealty::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

Problem refused(int status, const std::string& body) {
  ApiAnswer answer;
  answer.status = status;
  answer.body = body;
  answer.retry_after = "6";
  return refusal(answer, "https://api.test/api");
}

TEST(Refusal, SaysWhatTheApiSaid) {
  const Problem problem =
      refused(409, R"({"error": "Conflict", "reason": "name: taken\u001b[2J"})");
  EXPECT_EQ(problem.message, "the API says 409 Conflict: name: taken\\x1b[2J");
  EXPECT_EQ(problem.exit_code, kExitRun);
}

TEST(Refusal, SaysWhatToDoNext) {
  const Problem login = refused(401, R"({"error": "Unauthorized"})");
  EXPECT_THAT(login.message, HasSubstr("fealty login"));
  EXPECT_EQ(login.exit_code, kExitLogin);
  EXPECT_THAT(refused(403, R"({"error": "Forbidden"})").message,
              HasSubstr("not yours, or not there"));
  EXPECT_THAT(refused(429, R"({"error": "Too many"})").message,
              HasSubstr("in 6 s"));
}

TEST(Refusal, WhatIsNoApiIsNotTakenForOne) {
  const Problem problem = refused(404, "<html>\x1b" + std::string(5000, 'x'));
  EXPECT_THAT(problem.message, HasSubstr("is this its address?"));
  EXPECT_LT(problem.message.size(), 600U);
  EXPECT_THAT(problem.message, Not(HasSubstr("\x1b")));
  EXPECT_THAT(refused(301, "").message, HasSubstr("sends elsewhere"));
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
