#include "cli/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "support.h"

namespace fealty::cli {
namespace {

using testing::HasSubstr;

class Files : public testing::Test {
 protected:
  std::string why(const Result<std::string>& read) {
    return read ? "read" : read.error().message;
  }
  test::TempDir directory_;
};

TEST_F(Files, AreReadWhole) {
  const std::string path = directory_ / "file";
  test::write_file(path, std::string(kFileBytesMax, 'x'));
  const auto text = read_file(path);
  ASSERT_TRUE(text);
  EXPECT_EQ(text->size(), kFileBytesMax);
}

TEST_F(Files, ThatCannotBeReadAreNamed) {
  EXPECT_THAT(why(read_file(directory_ / "absent")),
              testing::AllOf(HasSubstr("absent"), HasSubstr("No such file")));
  EXPECT_THAT(why(read_file(directory_ / "")), HasSubstr("not a regular file"));
  test::write_file(directory_ / "long", std::string(kFileBytesMax + 1, 'x'));
  EXPECT_THAT(why(read_file(directory_ / "long")), HasSubstr("64 KiB"));
}

TEST_F(Files, ThatArePipesDoNotHang) {
  const std::string path = directory_ / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(why(read_file(path)), HasSubstr("not a regular file"));
}

TEST_F(Files, OfAPrivateKeyAreForItsOwnerAndGroup) {
  const std::string path = directory_ / "key";
  for (const unsigned mode : {0600U, 0400U, 0640U}) {
    test::write_file(path, "key", mode);
    EXPECT_TRUE(read_private_file(path)) << mode;
  }
  for (const unsigned mode : {0644U, 0604U, 0660U, 0602U}) {
    test::write_file(path, "key", mode);
    EXPECT_THAT(why(read_private_file(path)), HasSubstr("chmod 600")) << mode;
    EXPECT_TRUE(read_file(path));
  }
}

}  // namespace
}  // namespace fealty::cli
