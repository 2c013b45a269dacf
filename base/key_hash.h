#pragma once

#include <cstdint>
#include <string_view>

namespace fealty {

// A key's hash, for tables in memory (base/key_block.h says what its bits are
// for). Seeded once a process, so that nobody can make keys that collide.
[[nodiscard]] std::uint64_t hash_key(std::string_view key);

}  // namespace fealty
