# fealty_program(TARGET): what is measured or installed; with LTO in a release.
function(fealty_program target)
  target_link_libraries(${target} PRIVATE fealty_flags)
  if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT FEALTY_SANITIZE)
    target_link_options(${target} PRIVATE -flto=auto)
  endif()
endfunction()

# fealty_unity(TARGET): with FEALTY_UNITY its files are compiled in batches. Names in
# anonymous namespaces meet then: a group of files that shares some by design sets
# SKIP_UNITY_BUILD_INCLUSION. The release build proves each file by itself.
option(FEALTY_UNITY "Compile the rooms and their tests in batches of files" OFF)
if(FEALTY_UNITY)
  # Batches include files by whole paths, which ccache would tell apart elsewhere.
  add_compile_options(-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)
endif()
function(fealty_unity target)
  if(FEALTY_UNITY)
    set_target_properties(${target} PROPERTIES
      UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
  endif()
endfunction()

# fealty_room(NAME SOURCES ... DEPENDS ... [PRIVATE_DEPENDS ...])
#
# A room is a static library fealty_NAME of the sources in its folder. DEPENDS
# are other rooms and libraries that its headers show. What a room may include
# is checked by script/check-rooms.
function(fealty_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  add_library(fealty_${name} STATIC ${ROOM_SOURCES})
  target_link_libraries(fealty_${name}
    PUBLIC ${ROOM_DEPENDS}
    PRIVATE fealty_flags ${ROOM_PRIVATE_DEPENDS})
  fealty_unity(fealty_${name})
  target_include_directories(fealty_${name} PUBLIC ${PROJECT_SOURCE_DIR})
endfunction()
