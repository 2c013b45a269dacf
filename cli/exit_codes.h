#pragma once

namespace fealty::cli {

inline constexpr int kExitFine = 0;
inline constexpr int kExitRun = 1;
inline constexpr int kExitUsage = 2;
// Nobody is logged in, or not any more (sysexits' EX_NOPERM).
inline constexpr int kExitLogin = 77;

}  // namespace fealty::cli
