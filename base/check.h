#pragma once

#include <cstdio>
#include <cstdlib>

// CHECK guards the programmer's mistakes: it ends the process with file and
// line. It never judges input; bad input is a value (base/result.h).
#define FEALTY_CHECK(condition)                                             \
  do {                                                                      \
    if (!(condition)) [[unlikely]] {                                        \
      std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, \
                   #condition);                                             \
      std::abort();                                                         \
    }                                                                       \
  } while (false)
