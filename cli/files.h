#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

#include "base/result.h"

namespace fealty::cli {

inline constexpr std::size_t kFileBytesMax = 64 * 1024;

// A small regular file: keys, certificates. Never hangs on a FIFO. The error
// names the file and says why.
[[nodiscard]] Result<std::string> read_file(const std::string& path);

// The same for a private key, which nobody but its owner and group may read and
// nobody but its owner may change.
[[nodiscard]] Result<std::string> read_private_file(const std::string& path);

}  // namespace fealty::cli
