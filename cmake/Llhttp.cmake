# llhttp from the C sources of Debian's node-llhttp, in strict mode.
find_path(LLHTTP_INCLUDE_DIR llhttp.h PATHS /usr/share/include/llhttp REQUIRED)
find_path(LLHTTP_SOURCE_DIR llhttp.c PATHS /usr/share/llhttp
  NO_CMAKE_FIND_ROOT_PATH REQUIRED)
add_library(fealty_llhttp STATIC
  ${LLHTTP_SOURCE_DIR}/llhttp.c
  ${LLHTTP_SOURCE_DIR}/api.c
  ${LLHTTP_SOURCE_DIR}/http.c)
target_include_directories(fealty_llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE_DIR})
target_compile_definitions(fealty_llhttp PUBLIC LLHTTP_STRICT_MODE=1)
# Generated code: its warnings are not ours to mend.
target_compile_options(fealty_llhttp PRIVATE -w)
