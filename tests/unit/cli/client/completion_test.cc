#include "cli/client/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cli/arguments.h"

namespace fealty::cli {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

Suggestions suggested(const char* line) {
  const char* const words[] = {"fealty", "completion", "--line", line};
  auto parsed = parse_arguments(4, words);
  auto* const arguments = std::get_if<Arguments>(&parsed);
  EXPECT_NE(arguments, nullptr);
  return std::get<CompletionArguments>(arguments->what).suggestions;
}

std::vector<std::string> words(const char* line) {
  std::vector<std::string> out;
  for (const auto& [word, about] : suggested(line).words) out.push_back(word);
  return out;
}

TEST(Completion, KnowsEveryRoomsCommands) {
  EXPECT_THAT(words("fealty rou"), ElementsAre("router"));
  EXPECT_THAT(words("fealty router "), Contains("explain"));
  EXPECT_THAT(words("fealty tags re"), ElementsAre("rename", "remove"));
  EXPECT_THAT(words("sudo /usr/bin/fealty admin ne"), ElementsAre("news"));
}

TEST(Completion, OptionsAreThoseOfTheCommandAndAboveIt) {
  EXPECT_THAT(words("fealty alarms --fo"), ElementsAre("--follow"));
  EXPECT_THAT(words("fealty alarms --log-l"), ElementsAre("--log-level"));
  EXPECT_THAT(words("fealty tags --fo"), IsEmpty());
}

TEST(Completion, WhatAnOptionTakesIsNoCommand) {
  EXPECT_THAT(words("fealty --log-level info ta"), ElementsAre("tags"));
  EXPECT_THAT(words("fealty --log-level ta"), IsEmpty());
  EXPECT_THAT(words("fealty --log-level=info ta"), ElementsAre("tags"));
  const auto asked = suggested("fealty reboot --profile=zeus ");
  EXPECT_EQ(asked.call.one("--profile"), "zeus");
}

TEST(Completion, ObjectsAreAskedForWhereTheyStand) {
  EXPECT_EQ(suggested("fealty reboot ").resource, &containers());
  EXPECT_EQ(suggested("fealty link 30001 ").resource, &containers());
  EXPECT_EQ(suggested("fealty domains remove ").resource, &domains());
  EXPECT_EQ(suggested("fealty domains add ").resource, nullptr);
  EXPECT_EQ(suggested("fealty tags rename a ").resource, nullptr);
  const auto list = suggested("fealty containers --tags a,");
  EXPECT_EQ(list.resource, &tags());
  EXPECT_EQ(list.before, "a,");
  EXPECT_TRUE(suggested("fealty me --profile ").profiles);
}

TEST(Completion, OfWhatTheApiSaysOnlyPlainWordsAreOffered) {
  using Words = std::vector<std::pair<std::string, std::string>>;
  const Json list = Json::parse(R"json([
      {"id": 1, "uid": 30001, "name": "www"}, {"id": 2, "uid": 30002, "name": "-x"},
      {"id": 3, "uid": 30003, "name": "@/etc/x"},
      {"id": 4, "uid": 30004, "name": "$(x)"},
      {"id": 5, "uid": 30005, "name": "a\nb"}, {"id": 6, "uid": 30006},
      {"id": "$(x)", "uid": "\u001b[2J", "name": "evil"}, 7, null])json");
  EXPECT_EQ(object_words(tags(), list), (Words{{"www", ""}}));
  EXPECT_EQ(object_words(distros(), list),
            (Words{{"www", ""}, {"2", ""}, {"3", ""}, {"4", ""}, {"5", ""},
                   {"6", ""}}));
  EXPECT_EQ(object_words(containers(), list).front(),
            (Words::value_type{"30001", "www"}));
  EXPECT_EQ(object_words(containers(), list).size(), 6U);
}

TEST(Completion, SettingsAreTheResourcesKeys) {
  EXPECT_THAT(words("fealty container 30001 set ssh"), ElementsAre("ssh-key="));
  EXPECT_THAT(words("fealty container 30001 set name=x pushb"),
              ElementsAre("pushbullet-token="));
  const auto distro = suggested("fealty container 30001 set distro=");
  EXPECT_EQ(distro.resource, &distros());
  EXPECT_EQ(distro.before, "distro=");
  EXPECT_EQ(suggested("fealty container 1 set tags=a,b").before, "tags=a,");
  EXPECT_THAT(words("fealty admin servers add ssd=n"), ElementsAre("ssd=no"));
}

TEST(Completion, ACommandBehindDashesIsLeftAlone) {
  EXPECT_THAT(words("fealty subscribe -- fealty ta"), IsEmpty());
  EXPECT_THAT(words(""), IsEmpty());
  EXPECT_THAT(words("fealty"), IsEmpty());
  EXPECT_THAT(words("ls "), IsEmpty());
}

TEST(Completion, TheOptionsOfTheLineCountForAsking) {
  const auto asked = suggested("fealty admin --admin unix:/x customers show ");
  EXPECT_EQ(asked.call.one("--admin"), "unix:/x");
  const auto usual = suggested("fealty admin customers show ");
  EXPECT_EQ(usual.call.one("--admin"), "unix:/run/fealty/api-admin.sock");
}

}  // namespace
}  // namespace fealty::cli
