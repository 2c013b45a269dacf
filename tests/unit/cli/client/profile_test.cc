#include "cli/client/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/cli/support.h"

namespace fealty::cli {
namespace {

using test::TempDir;
using test::write_file;
using testing::HasSubstr;

const Profile kKratos = {"https://api.test:443/api", "kratos", "d\"e\nimös",
                         "/ca.crt", true};

Status put(const std::string& path, const std::string& name,
           const Profile& profile) {
  return change_profiles(path, [&](Profiles& profiles) {
    profiles.by_name[name] = profile;
    profiles.current = name;
  });
}

mode_t mode_of(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777;
}

TEST(Profiles, WhatIsWrittenIsRead) {
  const TempDir dir;
  const std::string path = dir / "a/b/profiles.json";
  ASSERT_TRUE(put(path, "one", kKratos));
  ASSERT_TRUE(put(path, "two", Profile{"http://127.0.0.1:1/api", "zeus", "x"}));
  const auto read = read_profiles(path);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->current, "two");
  EXPECT_EQ(read->by_name.at("one"), kKratos);
  EXPECT_EQ(read->by_name.at("two").user, "zeus");
}

TEST(Profiles, NobodyElseMayReadThem) {
  const TempDir dir;
  const std::string path = dir / "a/profiles.json";
  ASSERT_TRUE(put(path, "one", kKratos));
  EXPECT_EQ(mode_of(path), 0600U);
  EXPECT_EQ(mode_of(dir / "a"), 0700U);
  for (const mode_t mode : {0640U, 0604U, 0660U, 0610U}) {
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    const auto read = read_profiles(path);
    ASSERT_FALSE(read);
    EXPECT_THAT(read.error().message, HasSubstr("chmod 600"));
    EXPECT_FALSE(put(path, "two", kKratos));
  }
}

TEST(Profiles, WithoutAFileThereAreNone) {
  const TempDir dir;
  const auto read = read_profiles(dir / "none");
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->by_name.empty());
  EXPECT_EQ(read->current, "default");
}

TEST(Profiles, AFileOfOthersIsNotOverwritten) {
  const TempDir dir;
  const std::string path = dir / "profiles.json";
  for (const char* const text : {"", "{", "[]", "7"}) {
    write_file(path, text);
    EXPECT_FALSE(read_profiles(path)) << text;
    EXPECT_FALSE(put(path, "one", kKratos));
  }
  write_file(path, R"({"current": 1, "profiles": {"a": 1, "b": {"url": 2}}})");
  const auto read = read_profiles(path);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->by_name.at("b"), Profile());
}

TEST(Profiles, NobodyMayBeCurrent) {
  const TempDir dir;
  const std::string path = dir / "profiles.json";
  ASSERT_TRUE(put(path, "one", kKratos));
  ASSERT_TRUE(change_profiles(
      path, [](Profiles& profiles) { profiles.current.clear(); }));
  EXPECT_EQ(read_profiles(path)->current, "");
}

TEST(Profiles, WhatIsNoUtf8IsNotStored) {
  const TempDir dir;
  const std::string path = dir / "profiles.json";
  const Status kept = put(path, "one", Profile{"http://[::1]/", "caf\xe9", "x"});
  ASSERT_FALSE(kept);
  EXPECT_THAT(kept.error().message, HasSubstr("UTF-8"));
  EXPECT_TRUE(read_profiles(path)->by_name.empty());
}

TEST(Profiles, SeveralAtOnceLoseNothing) {
  const TempDir dir;
  const std::string path = dir / "profiles.json";
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&path, i] {
      EXPECT_TRUE(put(path, "p" + std::to_string(i), kKratos));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto read = read_profiles(path);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->by_name.size(), 8U);
  // And nothing else is left beside it.
  const std::filesystem::directory_iterator files(dir / "");
  EXPECT_EQ(std::distance(begin(files), end(files)), 1);
}

TEST(Profiles, StandWhereTheUsersConfigurationDoes) {
  ::setenv("XDG_CONFIG_HOME", "/x", 1);
  EXPECT_EQ(profiles_path(), "/x/fealty/profiles.json");
  ::setenv("XDG_CONFIG_HOME", "relative", 1);     // by its specification: unset
  ::setenv("HOME", "/home/kratos", 1);
  EXPECT_EQ(profiles_path(), "/home/kratos/.config/fealty/profiles.json");
  ::unsetenv("XDG_CONFIG_HOME");
}

}  // namespace
}  // namespace fealty::cli
