#include "cli/client/prompt.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "tests/unit/cli/support.h"

namespace fealty::cli {
namespace {

using test::TempDir;
using test::write_file;
using testing::HasSubstr;

// What `read` makes of a stdin that is this file.
template <typename Read>
Result<std::string, Problem> with_stdin(const std::string& path, Read read) {
  const UniqueFd before(::dup(STDIN_FILENO));
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_GE(::dup2(file.get(), STDIN_FILENO), 0);
  auto out = read();
  EXPECT_GE(::dup2(before.get(), STDIN_FILENO), 0);
  return out;
}

TEST(ReadStdin, AllOfItOrNothing) {
  const TempDir dir;
  const std::string path = dir / "in";
  const auto read = [] { return read_stdin(10); };
  write_file(path, "a\nb");
  EXPECT_EQ(with_stdin(path, read).value(), "a\nb");
  write_file(path, std::string(11, 'x'));
  EXPECT_THAT(with_stdin(path, read).error().message, HasSubstr("longer than 10"));
  // A folder can be opened, and not be read.
  EXPECT_THAT(with_stdin(dir / "", read).error().message, HasSubstr("stdin: "));
}

TEST(ReadSecret, IsAWholeFirstLine) {
  const TempDir dir;
  const std::string path = dir / "in";
  write_file(path, "deimos\r\n" + std::string(5'000, 'x'));
  EXPECT_EQ(with_stdin(path, read_secret_from_stdin).value(), "deimos");
  EXPECT_EQ(read_secret_from(path).value(), "deimos");
  for (const std::string& text : {std::string(kTypedBytesMax + 1, 'x'),
                                  std::string("latin1: \xe9\n")}) {
    write_file(path, text);
    EXPECT_FALSE(with_stdin(path, read_secret_from_stdin));
    EXPECT_FALSE(read_secret_from(path));
  }
}

}  // namespace
}  // namespace fealty::cli
