#include "api/sealer.h"

#include <gtest/gtest.h>
#include <sodium.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/unit/api/support.h"

namespace fealty::api {
namespace {

class SealerTest : public testing::Test {
 protected:
  SealerTest() { EXPECT_GE(sodium_init(), 0); }
  Sealer made() {
    EXPECT_TRUE(make_key_file(path_));
    auto loaded = load_sealer(path_);
    EXPECT_TRUE(loaded);
    return *loaded;
  }
  TemporaryFolder folder_;
  std::string path_ = folder_.file("api.key");
};

TEST_F(SealerTest, OpensWhatItSealed) {
  const Sealer sealer = made();
  const std::string sealed = sealer.seal("secret", "a.b");
  EXPECT_EQ(sealed.find("secret"), std::string::npos);
  EXPECT_NE(sealed, sealer.seal("secret", "a.b"));
  EXPECT_EQ(*sealer.open(sealed, "a.b"), "secret");
  EXPECT_EQ(sealer.seal("", "a.b"), "");
  EXPECT_EQ(*sealer.open("", "a.b"), "");
}

TEST_F(SealerTest, OpensInItsOwnRowAlone) {
  const Sealer sealer = made();
  const std::string sealed = sealer.seal("secret", purpose_of("a", "b", "1"));
  EXPECT_TRUE(sealer.open(sealed, purpose_of("a", "b", "1")));
  EXPECT_FALSE(sealer.open(sealed, purpose_of("a", "b", "2")));
  EXPECT_FALSE(sealer.open(sealed, purpose_of("a", "c", "1")));
}

TEST_F(SealerTest, MarksTellTextsApartToWhoHasTheKey) {
  const Sealer sealer = made();
  EXPECT_EQ(sealer.mark("x", "a"), sealer.mark("x", "a"));
  EXPECT_NE(sealer.mark("x", "a"), sealer.mark("y", "a"));
  EXPECT_NE(sealer.mark("x", "a"), sealer.mark("x", "b"));
  EXPECT_NE(sealer.mark("x", "a"), Sealer(Sealer::Key{}).mark("x", "a"));
}

TEST_F(SealerTest, OpensNothingThatWasMovedChangedOrAnothers) {
  const Sealer sealer = made();
  std::string sealed = sealer.seal("secret", "a.b");
  EXPECT_FALSE(sealer.open(sealed, "a.c"));
  EXPECT_FALSE(Sealer(Sealer::Key{}).open(sealed, "a.b"));
  sealed[30] = sealed[30] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(sealer.open(sealed, "a.b"));
  EXPECT_FALSE(sealer.open("AAAA", "a.b"));
  EXPECT_FALSE(sealer.open("no base64!", "a.b"));
}

TEST_F(SealerTest, KeyFileIsItsOwnersAlone) {
  made();
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  EXPECT_FALSE(make_key_file(path_));
  ::chmod(path_.c_str(), 0640);
  EXPECT_FALSE(load_sealer(path_));
}

TEST_F(SealerTest, KeyFileOutOfShapeIsRefused) {
  EXPECT_FALSE(load_sealer(folder_.file("none")));
  EXPECT_FALSE(load_sealer(folder_.file("")));
  std::ofstream(path_) << "abc";
  ::chmod(path_.c_str(), 0600);
  EXPECT_FALSE(load_sealer(path_));
}

}  // namespace
}  // namespace fealty::api
