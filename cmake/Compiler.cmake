# Language level, warnings and hardening, once for every target of the project.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

set(FEALTY_SANITIZE "" CACHE STRING "address, thread or empty")

add_library(fealty_flags INTERFACE)
target_compile_options(fealty_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion
  -Wnon-virtual-dtor -Woverloaded-virtual -Werror)
target_include_directories(fealty_flags INTERFACE ${PROJECT_SOURCE_DIR})

if(FEALTY_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(FEALTY_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-fstack-protector-strong -D_FORTIFY_SOURCE=2
    $<$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},x86_64>:-fcf-protection>)
  add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack)
  # Objects hold both forms: the programs and benchmarks are linked with LTO
  # (fealty_program), the tests quickly without.
  add_compile_options(-flto=auto -ffat-lto-objects -fno-semantic-interposition)
  add_link_options(-fno-lto)
endif()

# The sanitizers' builds: quick to make, still quick enough to run.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O1 -g1")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")

# libFuzzer is blind without counters in the rooms themselves.
if(FEALTY_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# A clone elsewhere finds what this one compiled.
find_program(FEALTY_CCACHE ccache)
if(FEALTY_CCACHE)
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}
    CCACHE_NOHASHDIR=1 ${FEALTY_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()
