#include "base/secret_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace fealty {
namespace {

class SecretFileTest : public testing::Test {
 protected:
  SecretFileTest() {
    std::string name = "/tmp/fealty-secret-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  ~SecretFileTest() override { std::filesystem::remove_all(folder_); }

  // What is read, or why nothing is.
  std::string read(const std::string& text, std::size_t least = 1,
                   mode_t mode = 0600) {
    const std::string path = folder_ + "/secret";
    std::ofstream(path, std::ios::binary) << text;
    ::chmod(path.c_str(), mode);
    const auto secret = read_secret_file(path, least);
    if (secret) return *secret;
    EXPECT_TRUE(secret.error().message.starts_with(path));
    return secret.error().message.substr(path.size() + 2);
  }

  std::string folder_;
};

TEST_F(SecretFileTest, LineEndIsNotPartOfIt) {
  EXPECT_EQ(read("hush\r\n"), "hush");
  EXPECT_EQ(read("hu\nsh"), "hu\nsh");
}

TEST_F(SecretFileTest, WhatIsNoSecretIsRefused) {
  EXPECT_EQ(read("\n"), "it is empty");
  EXPECT_EQ(read(std::string(kSecretBytesMax, 'x') + "\n").size(),
            kSecretBytesMax);
  EXPECT_EQ(read(std::string(kSecretBytesMax + 1, 'x')),
            "it is longer than 4096 bytes");
  EXPECT_EQ(read(std::string(31, 'x'), kSecretBytesLeast),
            "it has fewer than 32 bytes: make one with openssl rand -hex 32");
  EXPECT_EQ(read(std::string(32, 'x') + "\n", kSecretBytesLeast).size(), 32U);
  EXPECT_EQ(read("hush", 1, 0640), "hush");
  EXPECT_TRUE(read("hush", 1, 0604).starts_with("every user of this host"));
  EXPECT_TRUE(read("hush", 1, 0602).starts_with("every user of this host"));
  EXPECT_EQ(read_secret_file(folder_ + "/none", 1).error().message,
            folder_ + "/none: No such file or directory");
}

TEST_F(SecretFileTest, WipedTextIsGone) {
  std::string text(100, 'x');
  const char* const at = text.data();
  wipe(text);
  EXPECT_TRUE(text.empty());
  EXPECT_EQ(at[50], '\0');
}

}  // namespace
}  // namespace fealty
