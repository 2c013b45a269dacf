#pragma once

#include <cstdint>

namespace fealty::legion {

// Of eight bytes, the lowest first.
[[nodiscard]] inline std::uint64_t load_u64le(const char* at) {
  std::uint64_t value = 0;
  for (int i = 7; i >= 0; --i) {
    value = value << 8 | static_cast<unsigned char>(at[i]);
  }
  return value;
}

}  // namespace fealty::legion
