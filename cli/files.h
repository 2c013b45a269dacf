#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fealty::cli {

inline constexpr std::size_t kFileBytesMax = 64 * 1024;

// A small regular file: keys, certificates. Never hangs on a FIFO. The error
// names the file and says why.
[[nodiscard]] Result<std::string> read_file(const std::string& path);

// The same for a private key, which nobody but its owner and group may read and
// nobody but its owner may change.
[[nodiscard]] Result<std::string> read_private_file(const std::string& path);

// The same for what nobody but its owner, this process's user, may even read.
[[nodiscard]] Result<std::string> read_own_file(const std::string& path);

// Writes such a file (0600) in one step: whoever reads sees the old or the new.
[[nodiscard]] Status replace_own_file(const std::string& path,
                                      std::string_view text);

// The folders that `path` lies in, as far as they are not there (0700).
[[nodiscard]] Status make_folders_of(const std::string& path);

}  // namespace fealty::cli
