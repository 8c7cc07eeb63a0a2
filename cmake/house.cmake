# One static library per folder of src/, its tests beside it.
#
#   qad_room(NAME [USES room…] [LINKS target…])
#
# Sources are the folder's *.cc; *_test.cc become one test program, test_NAME, that links only what the room may see.
include(GoogleTest)

function(qad_room name)
  cmake_parse_arguments(ROOM "" "" "USES;LINKS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cc)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(TRANSFORM ROOM_USES PREPEND qad_)
  if(sources)
    add_library(qad_${name} STATIC ${sources})
    target_link_libraries(qad_${name} PUBLIC qad_flags ${ROOM_USES} ${ROOM_LINKS})
  else()
    add_library(qad_${name} INTERFACE)
    target_link_libraries(qad_${name} INTERFACE qad_flags ${ROOM_USES} ${ROOM_LINKS})
  endif()
  if(tests)
    add_executable(test_${name} ${tests})
    target_link_libraries(test_${name} PRIVATE qad_${name} GTest::gtest GTest::gtest_main)
    target_compile_definitions(test_${name} PRIVATE QAD_TESTDATA="${PROJECT_SOURCE_DIR}/testdata")
    # Passive: test programs run side by side, and OpenMP threads that spin for each other would starve.
    gtest_discover_tests(test_${name} DISCOVERY_TIMEOUT 60
                         PROPERTIES LABELS "${name}" TIMEOUT 600 ENVIRONMENT "OMP_WAIT_POLICY=passive")
  endif()
endfunction()
