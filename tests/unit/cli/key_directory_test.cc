#include "cli/key_directory.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace fealty::cli {
namespace {

constexpr const char* kKey = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";

std::string listed(const std::string& names, const std::string& body = "AAAA") {
  return R"([{"rsa": "-----BEGIN PUBLIC KEY-----\n)" + body +
         R"(\n-----END PUBLIC KEY-----\n", "domains": [)" + names + "]}]";
}

class KeyDirectory : public testing::Test {
 protected:
  KeyDirectory() {
    std::string name =
        (std::filesystem::temp_directory_path() / "fealty-keys-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~KeyDirectory() override { std::filesystem::remove_all(path_); }
  std::string text(const std::string& name) {
    std::ifstream file(path_ / name);
    std::ostringstream out;
    out << file.rdbuf();
    return out.str();
  }
  Result<SyncedKeys> sync(const std::string& list, bool force = false) {
    return sync_key_directory(path_.string(), list, force);
  }

  std::filesystem::path path_;
};

TEST_F(KeyDirectory, HasAFileForEachDomain) {
  const auto synced = sync(listed(R"({"name": "a.example"}, {"name": ".b.example"})"));
  ASSERT_TRUE(synced);
  EXPECT_EQ(synced->written, 2U);
  EXPECT_EQ(text("a.example.pem"), kKey);
  EXPECT_EQ(text(".b.example.pem"), kKey);
  const auto again = sync(listed(R"({"name": "a.example"}, {"name": ".b.example"})"));
  EXPECT_EQ(again->kept, 2U);
  EXPECT_EQ(again->written, 0U);
}

TEST_F(KeyDirectory, LetsGoOfItsOwnFilesAndOfNoOthers) {
  std::ofstream(path_ / "operator.example.pem") << "mine";
  ASSERT_TRUE(sync(listed(R"({"name": "a.example"})")));
  const auto synced = sync(listed(R"({"name": "b.example"})", "BBBB"));
  ASSERT_TRUE(synced);
  EXPECT_EQ(synced->removed, 1U);
  EXPECT_FALSE(std::filesystem::exists(path_ / "a.example.pem"));
  EXPECT_NE(text("b.example.pem").find("BBBB"), std::string::npos);
  EXPECT_EQ(text("operator.example.pem"), "mine");
}

TEST_F(KeyDirectory, ListThatMakesNoSenseChangesNothing) {
  ASSERT_TRUE(sync(listed(R"({"name": "a.example"})")));
  for (const std::string& list :
       {std::string(""), std::string("{}"), std::string("[1]"),
        listed(R"({"name": "../x"})"), listed(R"({"name": "a/b"})"), listed("1"),
        listed(R"({"nam": "x"})"), std::string(R"([{"rsa": "x", "domains": []}])")}) {
    EXPECT_FALSE(sync(list)) << list;
  }
  EXPECT_EQ(text("a.example.pem"), kKey);
  EXPECT_FALSE(sync_key_directory("/nowhere/at/all", listed("")));
}

TEST_F(KeyDirectory, MostKeysGoByForceOnly) {
  std::string many = R"({"name": "a.example"})";
  for (int i = 0; i < 11; ++i) many += R"(, {"name": "a)" + std::to_string(i) + R"(.example"})";
  ASSERT_TRUE(sync(listed(many)));
  const auto refused = sync("[]");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("--force"), std::string::npos);
  EXPECT_FALSE(sync(listed(R"({"name": "a.example"}, {"name": "a1.example"})")));
  EXPECT_EQ(text("a5.example.pem"), kKey);
  const auto forced = sync("[]", true);
  ASSERT_TRUE(forced);
  EXPECT_EQ(forced->removed, 12U);
}

TEST_F(KeyDirectory, NoDomainHasTheNameOfWhatIsUnfinished) {
  ASSERT_TRUE(sync(listed(R"({"name": ".new-a.example"}, {"name": "a.example"})")));
  EXPECT_EQ(text(".new-a.example.pem"), kKey);
  EXPECT_EQ(text("a.example.pem"), kKey);
}

TEST_F(KeyDirectory, FollowsNoLink) {
  std::filesystem::create_symlink("/etc/hostname", path_ / "a.example.pem");
  ASSERT_TRUE(sync(listed(R"({"name": "a.example"})")));
  EXPECT_FALSE(std::filesystem::is_symlink(path_ / "a.example.pem"));
  EXPECT_EQ(text("a.example.pem"), kKey);
}

}  // namespace
}  // namespace fealty::cli
