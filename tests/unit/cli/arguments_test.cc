#include "cli/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace fealty::cli {
namespace {

using testing::ElementsAre;

std::variant<Arguments, EarlyEnd> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "fealty");
  return parse_arguments(static_cast<int>(words.size()), words.data());
}

int exit_code(std::vector<const char*> words) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const auto parsed = parse(std::move(words));
  testing::internal::GetCapturedStdout();
  testing::internal::GetCapturedStderr();
  const auto* const end = std::get_if<EarlyEnd>(&parsed);
  return end == nullptr ? -1 : end->exit_code;
}

SubscribeArguments subscribe(std::vector<const char*> words) {
  words.insert(words.begin(), {"subscribe", "--server", "127.0.0.1:2626",
                               "--key", "a.test", "--addr", "127.0.0.1:1"});
  const auto parsed = parse(std::move(words));
  const auto* const arguments = std::get_if<Arguments>(&parsed);
  EXPECT_NE(arguments, nullptr);
  return arguments == nullptr ? SubscribeArguments()
                              : std::get<SubscribeArguments>(arguments->what);
}

RouterArguments router(std::vector<const char*> words) {
  words.insert(words.begin(), "router");
  const auto parsed = parse(std::move(words));
  const auto* const arguments = std::get_if<Arguments>(&parsed);
  EXPECT_NE(arguments, nullptr);
  return arguments == nullptr ? RouterArguments()
                              : std::get<RouterArguments>(arguments->what);
}

TEST(Arguments, HelpAndVersionAreFineAndNothingIsUsage) {
  EXPECT_EQ(exit_code({"--help"}), 0);
  EXPECT_EQ(exit_code({"--version"}), 0);
  EXPECT_EQ(exit_code({"subscribe", "--help"}), 0);
  EXPECT_EQ(exit_code({"router", "drain", "--help"}), 0);
  EXPECT_EQ(exit_code({}), 2);
  EXPECT_EQ(exit_code({"router"}), 2);
  EXPECT_EQ(exit_code({"subscribe"}), 2);
  EXPECT_EQ(exit_code({"nonsense"}), 2);
}

TEST(Arguments, WhatFollowsTheDashesIsCommandWordForWord) {
  const auto arguments =
      subscribe({"--", "npm", "start", "--", "--port", "--once", "--help"});
  EXPECT_THAT(arguments.command, ElementsAre("npm", "start", "--", "--port",
                                             "--once", "--help"));
  EXPECT_FALSE(arguments.once);
}

TEST(Arguments, ServersAndKeysMayComeSeveralTimes) {
  const auto arguments =
      subscribe({"--server", "unix:/run/x", "--key", ".b.test"});
  EXPECT_THAT(arguments.servers, ElementsAre("127.0.0.1:2626", "unix:/run/x"));
  EXPECT_THAT(arguments.keys, ElementsAre("a.test", ".b.test"));
}

TEST(Arguments, EveryNodeFieldIsRead) {
  const auto arguments = subscribe(
      {"--proto", "uwsgi", "--weight", "1000000", "--modifier1", "255",
       "--modifier2", "1", "--backup", "4294967295", "--algo", "iphash"});
  EXPECT_EQ(arguments.proto, "uwsgi");
  EXPECT_EQ(arguments.weight, 1'000'000U);
  EXPECT_EQ(arguments.modifier1, 255);
  EXPECT_EQ(arguments.modifier2, 1);
  EXPECT_EQ(arguments.backup, UINT32_MAX);
  EXPECT_EQ(arguments.algo, "iphash");
  EXPECT_EQ(subscribe({}).proto, "http");
  EXPECT_EQ(subscribe({"--proto", "h"}).proto, "h");
  EXPECT_EQ(subscribe({"--proto", "u"}).proto, "u");
  EXPECT_EQ(subscribe({}).weight, 1U);
}

TEST(Arguments, WhatMakesNoSenseIsUsage) {
  const auto code = [](std::vector<const char*> words) {
    words.insert(words.begin(), {"subscribe", "--server", "127.0.0.1:2626",
                                 "--key", "a.test", "--addr", "127.0.0.1:1"});
    return exit_code(std::move(words));
  };
  EXPECT_EQ(code({}), -1);
  EXPECT_EQ(code({"--weight", "1000001"}), 2);
  EXPECT_EQ(code({"--weight", "-1"}), 2);
  EXPECT_EQ(code({"--modifier1", "256"}), 2);
  EXPECT_EQ(code({"--backup", "4294967296"}), 2);
  EXPECT_EQ(code({"--algo", "random"}), 2);
  EXPECT_EQ(code({"--proto", "ftp"}), 2);
  EXPECT_EQ(code({"--sni-key", "k"}), 2);
  EXPECT_EQ(code({"--embed-sni"}), 2);
  EXPECT_EQ(code({"--once", "--every", "1s"}), 2);
  EXPECT_EQ(code({"--once", "--", "true"}), 2);
  EXPECT_EQ(code({"--unsubscribe"}), 2);
  EXPECT_EQ(code({"--no-check", "--check-url", "/"}), 2);
  EXPECT_EQ(code({"--"}), 2);
  EXPECT_EQ(code({"stray"}), 2);
  EXPECT_EQ(exit_code({"router", "stats", "--", "true"}), 2);
}

TEST(Arguments, AMisspeltCommandIsGuessed) {
  const auto said = [](std::vector<const char*> words) {
    testing::internal::CaptureStderr();
    const auto parsed = parse_arguments(static_cast<int>(words.size()),
                                        words.data());
    EXPECT_TRUE(std::holds_alternative<EarlyEnd>(parsed));
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_THAT(said({"fealty", "container", "5", "sett", "name=x"}),
              testing::HasSubstr("Did you mean set?"));
  EXPECT_THAT(said({"fealty", "frobnicate"}),
              testing::AllOf(testing::HasSubstr("frobnicate: there is no such"),
                             testing::Not(testing::HasSubstr("Did you mean"))));
}

TEST(Arguments, RoutersActionsAreRead) {
  EXPECT_EQ(router({"stats"}).admin, "127.0.0.1:5003");
  EXPECT_TRUE(router({"stats", "--json"}).json);
  const auto explain =
      router({"explain", "a.test", "--path", "/x", "--admin", "unix:/a"});
  EXPECT_EQ(explain.action, RouterArguments::Action::kExplain);
  EXPECT_EQ(explain.host, "a.test");
  EXPECT_EQ(explain.path, "/x");
  EXPECT_EQ(explain.admin, "unix:/a");
  const auto drain = router({"drain", "a.test", "127.0.0.1:1"});
  EXPECT_EQ(drain.action, RouterArguments::Action::kDrain);
  EXPECT_EQ(drain.key, "a.test");
  EXPECT_EQ(drain.node, "127.0.0.1:1");
  EXPECT_EQ(router({"undrain", "k", "n"}).action,
            RouterArguments::Action::kUndrain);
  EXPECT_EQ(router({"health"}).action, RouterArguments::Action::kHealth);
}

TEST(Arguments, TheLogsAreEitherSides) {
  const auto parsed = parse({"--log-format", "json", "router", "health",
                             "--log-level", "debug"});
  const auto& arguments = std::get<Arguments>(parsed);
  EXPECT_EQ(arguments.log_format, log::Format::kJson);
  EXPECT_EQ(arguments.log_level, log::Level::kDebug);
}

}  // namespace
}  // namespace fealty::cli
