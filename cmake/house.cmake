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

# The files that memory/embedded.h declares, as text within the program.
function(qad_embed)
  set(folder ${CMAKE_CURRENT_SOURCE_DIR}/memory)
  file(GLOB presets CONFIGURE_DEPENDS ${folder}/presets/*.json)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${presets} ${folder}/machines.json)
  set(rows "")
  foreach(file ${presets})
    get_filename_component(name ${file} NAME_WLE)
    file(READ ${file} text)
    string(APPEND rows "    {\"${name}\", R\"json(${text})json\"},\n")
  endforeach()
  file(READ ${folder}/machines.json machines)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/embedded.cc)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
"#include \"memory/embedded.h\"

namespace qad {

static constexpr EmbeddedFile kPresets[] = {
${rows}};

std::span<const EmbeddedFile> PresetFiles() { return kPresets; }
std::string_view MachinesJson() { return R\"json(${machines})json\"; }

}  // namespace qad
")
  target_sources(qad_memory PRIVATE ${source})
endfunction()
