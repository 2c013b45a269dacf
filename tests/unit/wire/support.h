#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace fealty::wire::test {

inline std::string vector_file(const std::string& name) {
  std::ifstream in(std::string(FEALTY_VECTORS) + "/" + name, std::ios::binary);
  EXPECT_TRUE(in) << name;
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace fealty::wire::test
