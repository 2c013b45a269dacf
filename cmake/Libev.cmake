# libev has neither a CMake nor a pkg-config file in Debian.
find_path(LIBEV_INCLUDE_DIR ev.h REQUIRED)
find_library(LIBEV_LIBRARY ev REQUIRED)
add_library(fealty_libev INTERFACE)
target_include_directories(fealty_libev SYSTEM INTERFACE ${LIBEV_INCLUDE_DIR})
target_link_libraries(fealty_libev INTERFACE ${LIBEV_LIBRARY})
# ev.h's macros are older than our warnings.
target_compile_options(fealty_libev INTERFACE -Wno-parentheses)
target_compile_definitions(fealty_libev INTERFACE EV_COMPAT3=0)
