#pragma once

#include <string_view>

namespace fealty {

// The project's version, as CMakeLists.txt says.
inline constexpr std::string_view kVersion = FEALTY_VERSION;

}  // namespace fealty
