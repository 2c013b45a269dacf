#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fealty::legion {

// What the Lord holds: `ADDRESS/PREFIX dev INTERFACE`, IPv4 or IPv6.
struct FloatingAddress {
  int family = 0;                            // AF_INET or AF_INET6
  std::array<std::uint8_t, 16> bytes{};      // 4 or 16 of them
  unsigned prefix_bits = 0;
  std::string interface;

  [[nodiscard]] static Result<FloatingAddress> parse(std::string_view text);
  // As parse() reads it.
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] std::size_t size() const;    // of the address, in bytes
  friend bool operator==(const FloatingAddress&,
                         const FloatingAddress&) = default;
};

}  // namespace fealty::legion
