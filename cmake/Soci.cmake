# SOCI with its two backends has neither a CMake nor a pkg-config file in Debian.
find_path(SOCI_INCLUDE_DIR soci/soci.h REQUIRED)
find_path(POSTGRESQL_INCLUDE_DIR libpq-fe.h PATH_SUFFIXES postgresql REQUIRED)
add_library(fealty_soci INTERFACE)
target_include_directories(fealty_soci SYSTEM INTERFACE
  ${SOCI_INCLUDE_DIR} ${POSTGRESQL_INCLUDE_DIR})
foreach(library soci_core soci_sqlite3 soci_postgresql sqlite3 pq)
  find_library(FEALTY_${library} NAMES lib${library}.so ${library} REQUIRED)
  target_link_libraries(fealty_soci INTERFACE ${FEALTY_${library}})
endforeach()
