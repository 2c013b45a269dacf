#include "subscription/sni_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>

#include "support.h"

namespace fealty::subscription {
namespace {

using test::kPem;
using test::TempDir;
using test::write_file;

class SniFilesTest : public testing::Test {
 protected:
  SniFilesTest() {
    options_.allow_sni_paths = {home_.path()};
    write_file(home_ / "a.crt", kPem);
  }

  std::string outcome(const std::string& value) {
    return outcome(value, Credentials{1, ::getuid(), ::getgid()});
  }
  std::string outcome(const std::string& value,
                      const std::optional<Credentials>& sender) {
    Announcement announcement;
    announcement.sni_crt = value;
    const auto source = files_.open(announcement, sender);
    if (!source) return std::string(to_string(source.error()));
    if (const std::string why = source->problem(); !why.empty()) {
      return why.substr(why.rfind(": ") + 2);
    }
    const auto read = source->read();
    EXPECT_TRUE(read);
    if (read) content_ = read->chain;
    return "accepted";
  }
  void link(const std::string& target, const std::string& name) {
    std::filesystem::create_symlink(target, home_ / name);
  }

  TempDir home_;
  TempDir elsewhere_;
  Options options_;
  SniFiles files_{options_};
  std::string content_;
};

TEST_F(SniFilesTest, FileWithinThePrefixIsRead) {
  EXPECT_EQ(outcome(home_ / "a.crt"), "accepted");
  EXPECT_EQ(content_, kPem);
}

TEST_F(SniFilesTest, PemTextIsTakenAsItIs) {
  options_.allow_sni_paths.clear();
  options_.serves_sni = true;
  EXPECT_EQ(outcome(kPem), "accepted");
  EXPECT_EQ(content_, kPem);
  EXPECT_EQ(outcome(" \r\n\t" + std::string(kPem)), "accepted");
  EXPECT_EQ(outcome(""), "accepted");
}

TEST_F(SniFilesTest, WhatIsNeitherPathNorPemIsRefused) {
  for (const char* value : {"a.crt", "x", "----BEGIN", " /etc/x", "!/etc/x",
                            "   "}) {
    EXPECT_EQ(outcome(value), "bad-value") << value;
  }
  EXPECT_EQ(outcome(std::string("/a\0b", 4)), "bad-value");
}

TEST_F(SniFilesTest, WithoutPrefixesNoPathIsAllowed) {
  options_.allow_sni_paths.clear();
  options_.serves_sni = true;
  EXPECT_EQ(outcome(home_ / "a.crt"), "sni-not-allowed");
}

TEST_F(SniFilesTest, WithoutPrefixesAndUnservedNothingIsLookedAt) {
  options_.allow_sni_paths.clear();
  Announcement announcement;
  announcement.sni_key = "/etc/shadow";
  const auto source = files_.open(announcement, {});
  ASSERT_TRUE(source);
  EXPECT_FALSE(source->any());
}

TEST_F(SniFilesTest, PathOutsideThePrefixIsRefused) {
  write_file(elsewhere_ / "b.crt", kPem);
  EXPECT_EQ(outcome(elsewhere_ / "b.crt"), "sni-not-allowed");
  EXPECT_EQ(outcome(home_.path() + "x/a.crt"), "sni-not-allowed");
  EXPECT_EQ(outcome(home_ / "../x"), "sni-not-allowed");
  EXPECT_EQ(outcome(home_ / "./a.crt"), "sni-not-allowed");
  EXPECT_EQ(outcome(home_.path() + "//a.crt"), "sni-not-allowed");
  EXPECT_EQ(outcome("/proc/self/environ"), "sni-not-allowed");
}

TEST_F(SniFilesTest, LinkWithinThePrefixIsFollowed) {
  std::filesystem::create_directory(home_ / "live");
  link("../a.crt", "live/cert.pem");
  EXPECT_EQ(outcome(home_ / "live/cert.pem"), "accepted");
}

TEST_F(SniFilesTest, LinkThatLeavesThePrefixIsRefused) {
  write_file(elsewhere_ / "b.crt", kPem);
  link(elsewhere_ / "b.crt", "absolute.crt");
  link("../" + elsewhere_.path().substr(elsewhere_.path().rfind('/') + 1) +
           "/b.crt",
       "relative.crt");
  link(elsewhere_.path(), "directory");
  EXPECT_EQ(outcome(home_ / "absolute.crt"), "sni-not-allowed");
  EXPECT_EQ(outcome(home_ / "relative.crt"), "sni-not-allowed");
  EXPECT_EQ(outcome(home_ / "directory/b.crt"), "sni-not-allowed");
}

TEST_F(SniFilesTest, LinksOfProcAreNotFollowed) {
  options_.allow_sni_paths = {"/proc/self/fd"};
  const UniqueFd fd(::open((home_ / "a.crt").c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(outcome("/proc/self/fd/" + std::to_string(fd.get())),
            "sni-not-allowed");
}

TEST_F(SniFilesTest, AnothersFileIsNotRead) {
  constexpr auto kAnothers = "it belongs neither to the sender nor to root";
  const Credentials stranger{1, ::getuid() + 1, ::getgid()};
  if (::getuid() != 0) {
    EXPECT_EQ(outcome(home_ / "a.crt", stranger), kAnothers);
    EXPECT_EQ(outcome(home_ / "a.crt", std::nullopt), kAnothers);
    return;
  }
  ASSERT_EQ(::chown((home_ / "a.crt").c_str(), 1234, 1234), 0);
  EXPECT_EQ(outcome(home_ / "a.crt", stranger), kAnothers);
  EXPECT_EQ(outcome(home_ / "a.crt", std::nullopt), kAnothers);
  EXPECT_EQ(outcome(home_ / "a.crt", Credentials{1, 1234, 99}), "accepted");
}

TEST_F(SniFilesTest, RootsFileIsEverybodys) {
  if (::getuid() != 0) GTEST_SKIP() << "makes a file of root's";
  EXPECT_EQ(outcome(home_ / "a.crt", Credentials{1, 1234, 1234}), "accepted");
  EXPECT_EQ(outcome(home_ / "a.crt", std::nullopt), "accepted");
}

TEST_F(SniFilesTest, FifoDoesNotHangAndIsNotRead) {
  ASSERT_EQ(::mkfifo((home_ / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(outcome(home_ / "fifo"), "it is no regular file");
}

TEST_F(SniFilesTest, DeviceIsNotRead) {
  options_.allow_sni_paths = {"/dev"};
  EXPECT_EQ(outcome("/dev/zero"), "it is no regular file");
  EXPECT_NE(outcome("/dev/tty"), "accepted");
}

TEST_F(SniFilesTest, WhatIsNotThereIsToldByName) {
  std::filesystem::create_directory(home_ / "folder");
  EXPECT_EQ(outcome(home_ / "folder"), "it is no regular file");
  EXPECT_EQ(outcome(home_ / "none.crt"), "No such file or directory");
  EXPECT_EQ(outcome(home_ / "a.crt/x"), "Not a directory");
}

TEST_F(SniFilesTest, EmptyAndOverlargeFilesAreNotRead) {
  write_file(home_ / "a.crt", std::string(SniFiles::kFileBytesMax, 'x'));
  EXPECT_EQ(outcome(home_ / "a.crt"), "accepted");
  write_file(home_ / "a.crt", std::string(SniFiles::kFileBytesMax + 1, 'x'));
  EXPECT_EQ(outcome(home_ / "a.crt"), "it has more than 64 KiB");
  write_file(home_ / "a.crt", "");
  EXPECT_EQ(outcome(home_ / "a.crt"), "it is empty");
}

TEST_F(SniFilesTest, RenewedFileIsReadAtOnce) {
  EXPECT_EQ(outcome(home_ / "a.crt"), "accepted");
  write_file(home_ / "a.crt", "renewed");
  EXPECT_EQ(outcome(home_ / "a.crt"), "accepted");
  EXPECT_EQ(content_, "renewed");
}

TEST_F(SniFilesTest, MarkMakesTheClientsCertificateMandatory) {
  const std::string path = home_ / "a.crt";
  const auto sender = Credentials{1, ::getuid(), ::getgid()};
  for (const std::string& value : {path, std::string(kPem)}) {
    Announcement announcement;
    announcement.sni_ca = value;
    const auto asking = files_.open(announcement, sender);
    ASSERT_TRUE(asking) << value;
    EXPECT_FALSE(asking->read()->client_required);
    const std::string marked = "!" + value;
    announcement.sni_ca = marked;
    const auto demanding = files_.open(announcement, sender);
    ASSERT_TRUE(demanding) << value;
    EXPECT_NE(demanding->name(), asking->name());
    const auto required = demanding->read();
    ASSERT_TRUE(required) << value;
    EXPECT_TRUE(required->client_required);
    EXPECT_EQ(required->client_ca, kPem);
  }
}

}  // namespace
}  // namespace fealty::subscription
