#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fealty::subscription {

// 128 bits that stand for something longer. All zero means "none".
struct Hash128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  bool operator==(const Hash128&) const = default;
  explicit operator bool() const { return (high | low) != 0; }

  // For unordered containers: the bits are as good as random.
  struct Hasher {
    std::size_t operator()(const Hash128& hash) const { return hash.low; }
  };
};

// The same in every router and after every restart, so that routers which share
// clients choose alike. Anybody can make values that collide.
[[nodiscard]] std::uint64_t stable_hash(std::string_view bytes);

// XXH3 with a secret of this object's own: nobody who does not see the results
// can aim for equal ones. Not for anything that leaves the process.
class KeyedHash {
 public:
  KeyedHash();

  [[nodiscard]] Hash128 of(std::string_view bytes) const;

 private:
  static constexpr std::size_t kSecretBytes = 192;
  std::array<unsigned char, kSecretBytes> secret_;
};

}  // namespace fealty::subscription
