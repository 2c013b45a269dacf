#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"

namespace fealty {

inline constexpr std::size_t kSecretBytesMax = 4096;
// For keys that an attacker can test guesses against: of a secret as
// `openssl rand -hex 32` makes it there is nothing to guess.
inline constexpr std::size_t kSecretBytesLeast = 32;

// What the file holds, without the line's end: at least `bytes_least`, at most
// kSecretBytesMax. Refused is a regular file that every user of the host may read
// or change. The error names the path. Any thread.
[[nodiscard]] Result<std::string> read_secret_file(const std::string& path,
                                                   std::size_t bytes_least);

// Overwrites what `text` holds, and empties it.
void wipe(std::string& text);

}  // namespace fealty
