#include "cli/client/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/cli/support.h"

namespace fealty::cli {
namespace {

using test::TempDir;
using test::write_file;
using testing::HasSubstr;
using Words = std::vector<std::string>;

SettingHelp help() {
  return {[](KeyKind, const std::string& text) -> Result<std::int64_t, Problem> {
            if (text == "known") return std::int64_t{7};
            return Problem("there is no " + text);
          },
          [](const std::string& what) -> Result<std::string, Problem> {
            return "typed " + what;
          }};
}

Result<Json, Problem> read(const Words& words) {
  return read_settings(containers().keys, words, help());
}
std::string text(const Words& words) {
  const auto object = read(words);
  return object ? object->dump() : object.error().message;
}
int exit_of(const Words& words) {
  const auto object = read(words);
  return object ? 0 : object.error().exit_code;
}

TEST(Settings, ValuesAreOfTheirKeysKind) {
  EXPECT_EQ(text({"name=a=b", "memory=64", "nofollow=yes", "tags=a,b"}),
            R"({"name":"a=b","memory":64,"nofollow":true,"tags":["a","b"]})");
  EXPECT_EQ(text({"tags=", "note="}), R"({"tags":[],"note":""})");
}

TEST(Settings, DashesAndUnderscoresAreTheSame) {
  EXPECT_EQ(text({"custom_distro=3"}), text({"custom-distro=3"}));
}

TEST(Settings, NumbersMayBeNamesOrNone) {
  EXPECT_EQ(text({"distro=2"}), R"({"distro":2})");
  EXPECT_EQ(text({"distro=known"}), R"({"distro":7})");
  EXPECT_EQ(text({"distro=none", "custom-distro=none"}),
            R"({"distro":null,"custom_distro":null})");
  EXPECT_EQ(text({"distro=other"}), "there is no other");
  EXPECT_THAT(text({"distro="}), HasSubstr("a number, a name or none"));
}

TEST(Settings, ListsOfLinesComeFromFilesAndSeveralWords) {
  const TempDir dir;
  write_file(dir / "keys", "# two\nssh-rsa A\r\n\nssh-rsa B\n");
  EXPECT_EQ(text({"ssh-key=@" + (dir / "keys"), "ssh-key=ssh-rsa C"}),
            R"({"ssh_keys":["ssh-rsa A","ssh-rsa B","ssh-rsa C"]})");
}

TEST(Settings, NoneIsAnEmptyList) {
  const TempDir dir;
  write_file(dir / "keys", "# nothing\n");
  EXPECT_EQ(text({"ssh-key=none", "tags=none"}), R"({"ssh_keys":[],"tags":[]})");
  for (const std::string& word : {std::string("ssh-key="),
                                  "ssh-key=@" + (dir / "keys")}) {
    EXPECT_EQ(exit_of({word}), kExitUsage) << word;
    EXPECT_THAT(text({word}), HasSubstr("none is expected"));
  }
}

TEST(Settings, PrivateKeysAreNotSent) {
  const TempDir dir;
  write_file(dir / "id", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blb\n");
  for (const char* const key : {"ssh-key=@", "note=@"}) {
    EXPECT_EQ(exit_of({key + (dir / "id")}), kExitUsage);
    EXPECT_THAT(text({key + (dir / "id")}), HasSubstr(".pub"));
  }
}

TEST(Settings, WhatIsNoUtf8IsRefused) {
  const TempDir dir;
  write_file(dir / "note", "caf\xe9\n");
  EXPECT_EQ(exit_of({"note=caf\xe9"}), kExitUsage);
  EXPECT_EQ(exit_of({"note=@" + (dir / "note")}), kExitUsage);
  EXPECT_EQ(exit_of({"note=caf\xc3\xa9"}), 0);
}

TEST(Settings, OnlyAValueIsAFile) {
  Json object;
  ASSERT_TRUE(put_text(object, {"note"}, "@/etc/passwd", help()));
  EXPECT_EQ(object.dump(), R"({"note":"@/etc/passwd"})");
}

TEST(Settings, AFileLosesItsLastLineEndOnly) {
  const TempDir dir;
  write_file(dir / "note", "a\nb\n");
  EXPECT_EQ(text({"note=@" + (dir / "note")}), R"({"note":"a\nb"})");
  EXPECT_EQ(text({"note=@@home"}), R"({"note":"@home"})");
  EXPECT_THAT(text({"note=@" + (dir / "none")}), HasSubstr("cannot be read"));
}

TEST(Settings, SecretsAreOnNoCommandLine) {
  const TempDir dir;
  write_file(dir / "secret", "hush\n");
  EXPECT_EQ(text({"jid-secret=@" + (dir / "secret")}), R"({"jid_secret":"hush"})");
  EXPECT_EQ(text({"jid-secret=?"}), R"({"jid_secret":"typed jid-secret"})");
  EXPECT_EQ(exit_of({"jid-secret=hush"}), kExitUsage);
  EXPECT_EQ(text({"jid-secret=hush"}).find("hush"), std::string::npos);
  write_file(dir / "open", "hush\n", 0644);
  EXPECT_THAT(text({"jid-secret=@" + (dir / "open")}), HasSubstr("chmod 600"));
}

TEST(Settings, WhatMakesNoSenseIsUsage) {
  for (const char* const word :
       {"name", "nothing=1", "memory=1x", "memory=", "memory=99999999999999999999",
        "nofollow=2", "=x", ""}) {
    EXPECT_EQ(exit_of({word}), kExitUsage) << word;
  }
  EXPECT_EQ(exit_of({"name=a", "name=b"}), kExitUsage);
}

TEST(Settings, WhatOnlyAParameterSaysIsNoSetting) {
  const Words words = {"ro=yes"};
  EXPECT_FALSE(read_settings(loopboxes().keys, words, help()));
  EXPECT_EQ(setting_names(loopboxes().keys), Words{"tags"});
}

TEST(Settings, NodesOfALegion) {
  const Setting key = {"nodes", KeyKind::kNodes};
  Json object;
  ASSERT_TRUE(put_setting(object, key, "one:10,two", help()));
  EXPECT_EQ(object.dump(),
            R"({"nodes":[{"server":"one","weight":10},{"server":"two"}]})");
  EXPECT_FALSE(put_setting(object, key, "one:x", help()));
}

}  // namespace
}  // namespace fealty::cli
