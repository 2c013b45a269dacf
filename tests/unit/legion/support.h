#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "legion/announce.h"

namespace fealty::legion::test {

inline std::string vector_file(const std::string& name) {
  std::ifstream in(std::string(FEALTY_TEST_DATA) + "/vectors/" + name,
                   std::ios::binary);
  EXPECT_TRUE(in) << name;
  return {std::istreambuf_iterator<char>(in), {}};
}

// 36 times the same character.
inline Uuid uuid_of(char c) {
  Uuid uuid;
  EXPECT_TRUE(Uuid::parse(std::string(Uuid::kBytes, c), uuid));
  return uuid;
}

}  // namespace fealty::legion::test
