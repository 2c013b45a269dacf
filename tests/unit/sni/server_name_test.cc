#include "sni/server_name.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace fealty::sni {
namespace {

std::string folded(std::string_view name) {
  return std::string(ServerName::fold(name).view());
}
std::string in_extension(const std::vector<unsigned char>& bytes) {
  return std::string(ServerName::in_extension(bytes));
}

TEST(ServerName, IsInLowerCaseWithoutATrailingDot) {
  EXPECT_EQ(folded("WWW.Example.COM."), "www.example.com");
  EXPECT_EQ(folded("a_b-1.example"), "a_b-1.example");
}

TEST(ServerName, GarbageIsNone) {
  for (const char* const name :
       {"", ".", ".example.com", "a b", "a/b", "a:80", "[::1]", "ex\xc3\xa4", "*.x",
        "a\n"}) {
    EXPECT_EQ(folded(name), "") << name;
  }
  EXPECT_EQ(folded(std::string("a\0b", 3)), "");
}

TEST(ServerName, HasAtMost255Bytes) {
  EXPECT_EQ(folded(std::string(255, 'a')).size(), 255U);
  EXPECT_EQ(folded(std::string(255, 'a') + ".").size(), 255U);
  EXPECT_EQ(folded(std::string(256, 'a')), "");
}

TEST(ServerName, IsReadFromTheExtension) {
  EXPECT_EQ(in_extension({0, 6, 0, 0, 3, 'a', '.', 'b'}), "a.b");
}

TEST(ServerName, ExtensionOutOfShapeHasNone) {
  const std::vector<std::vector<unsigned char>> shapes = {
      {},
      {0},
      {0, 0},
      {0, 6, 0, 0, 3, 'a', '.'},          // shorter than it says
      {0, 6, 0, 0, 3, 'a', '.', 'b', 0},  // longer
      {0, 6, 1, 0, 3, 'a', '.', 'b'},     // another kind of name
      {0, 6, 0, 0, 4, 'a', '.', 'b'},     // a name beyond the list
      {0, 6, 0, 0, 2, 'a', '.', 'b'},     // something behind the name
      {0, 2, 0, 0},
      {0, 3, 0, 0, 0}};
  for (const auto& shape : shapes) EXPECT_EQ(in_extension(shape), "");
}

}  // namespace
}  // namespace fealty::sni
