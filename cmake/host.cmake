# What the programs share: explanations, files, drawing, JSON and the embedded weights.

# The networks in float, forward and backward. Beside the core, and only with Eigen.
if(MIEN_EXPLAIN OR MIEN_BUILD_TESTS)
  find_package(Eigen3 QUIET NO_MODULE)
endif()
if(TARGET Eigen3::Eigen)
  add_library(mien_explain STATIC
    src/explain/float_network.cpp src/explain/explain.cpp src/explain/occlusion.cpp)
  target_include_directories(mien_explain PUBLIC src)
  target_link_libraries(mien_explain PUBLIC mien Eigen3::Eigen PRIVATE mien_options)
  mien_unity(mien_explain)
endif()

if(NOT (MIEN_BUILD_TOOL OR MIEN_BUILD_PYTHON))
  return()
endif()

include(cmake/embed.cmake)
find_path(STB_INCLUDE_DIR stb/stb_image.h REQUIRED)
find_package(nlohmann_json REQUIRED)

file(GLOB host_sources CONFIGURE_DEPENDS src/host/*/*.cpp)
add_library(mien_host STATIC ${host_sources})
mien_embed(mien_host mien::host::embedded_weights FILES
  weights/haarcascade_frontalface_default.mien weights/emotion.mien weights/gender.mien)
# stb_image's implementation is compiled in this file: hostile JPEGs can make its integers overflow,
# which -fwrapv defines; and g++ 12 thinks that it reads a context before setting it.
set_source_files_properties(src/host/codec/image_file.cpp PROPERTIES
  COMPILE_OPTIONS "-fwrapv;$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>")
target_include_directories(mien_host PUBLIC src)
target_include_directories(mien_host SYSTEM PRIVATE ${STB_INCLUDE_DIR})
target_link_libraries(mien_host PUBLIC mien PRIVATE mien_options nlohmann_json::nlohmann_json)
mien_unity(mien_host)
