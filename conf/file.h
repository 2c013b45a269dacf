#pragma once

#include <string>

#include "base/result.h"

namespace fealty::conf {

// The file's bytes, or why there are none; of a file beyond kFileBytesMax only
// enough to see that it is too large.
[[nodiscard]] Result<std::string> read_file(const std::string& path);

// The folder that relative paths in the file are taken from.
[[nodiscard]] std::string folder_of(const std::string& file_name);

}  // namespace fealty::conf
