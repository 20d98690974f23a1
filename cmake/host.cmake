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

# One JPEG decoder for all that is read: libjpeg-turbo, as a static library where there is one, so
# that the programs can be copied to other machines. Tried out, for there are other libjpegs,
# libraries of other processors, and static ones that a Python module cannot hold.
if(MIEN_TURBOJPEG)
  find_path(MIEN_JPEG_INCLUDE_DIR jpeglib.h)
  find_path(MIEN_JPEG_CONFIG_DIR jconfig.h PATH_SUFFIXES ${CMAKE_LIBRARY_ARCHITECTURE})
  find_library(MIEN_JPEG_LIBRARY NAMES libjpeg.a jpeg)
endif()
if(MIEN_TURBOJPEG AND MIEN_JPEG_INCLUDE_DIR AND MIEN_JPEG_CONFIG_DIR AND MIEN_JPEG_LIBRARY)
  include(CheckCXXSourceCompiles)
  set(CMAKE_REQUIRED_INCLUDES ${MIEN_JPEG_INCLUDE_DIR} ${MIEN_JPEG_CONFIG_DIR})
  set(CMAKE_REQUIRED_LIBRARIES ${MIEN_JPEG_LIBRARY})
  if(MIEN_BUILD_PYTHON AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
    set(CMAKE_REQUIRED_FLAGS -fPIC)
    set(CMAKE_REQUIRED_LINK_OPTIONS -shared -Wl,--exclude-libs,ALL)
  endif()
  check_cxx_source_compiles("
    #include <cstdio>
    #include <jpeglib.h>
    #ifndef LIBJPEG_TURBO_VERSION
    #error another libjpeg
    #endif
    int main() {
      jpeg_decompress_struct in{};
      jpeg_create_decompress(&in);
      jpeg_mem_src(&in, nullptr, 0);
      jpeg_read_header(&in, TRUE);
      jpeg_start_decompress(&in);
      jpeg_read_scanlines(&in, nullptr, 1);
      jpeg_compress_struct out{};
      jpeg_create_compress(&out);
      jpeg_start_compress(&out, TRUE);
      jpeg_write_scanlines(&out, nullptr, 1);
    }" MIEN_HAS_TURBOJPEG)
  foreach(name INCLUDES LIBRARIES FLAGS LINK_OPTIONS)
    unset(CMAKE_REQUIRED_${name})
  endforeach()
endif()

file(GLOB host_sources CONFIGURE_DEPENDS
  src/host/eval/*.cpp src/host/files/*.cpp src/host/results/*.cpp src/host/weights/*.cpp)
file(GLOB pixel_sources CONFIGURE_DEPENDS src/host/codec/*.cpp src/host/draw/*.cpp)
if(MIEN_TURBOJPEG AND MIEN_HAS_TURBOJPEG)
  set(turbo ON)
  list(FILTER pixel_sources EXCLUDE REGEX "/jpeg_stb\\.cpp$")
else()
  set(turbo OFF)
  list(FILTER pixel_sources EXCLUDE REGEX "/jpeg_turbo\\.cpp$")
  message(STATUS "No libjpeg-turbo for ${CMAKE_SYSTEM_PROCESSOR}: stb_image decodes JPEG, several"
                 " times slower, and its pixels differ by a level or two")
endif()
# Optional formats: mien_image_format(NAME HEADER LIBRARY) takes the reader in, with the name under
# which its library is loaded, or leaves it out.
set(image_format_definitions "")
set(image_format_folders "")
function(mien_image_format name header library)
  string(TOLOWER ${name} file)
  if(MIEN_${name})
    find_path(MIEN_${name}_INCLUDE_DIR ${header} PATH_SUFFIXES ${CMAKE_LIBRARY_ARCHITECTURE})
    find_library(MIEN_${name}_LIBRARY NAMES ${library})
  endif()
  set(soname "")
  if(MIEN_${name} AND MIEN_${name}_INCLUDE_DIR AND MIEN_${name}_LIBRARY)
    # libwebp.so leads to libwebp.so.7.1.5; the major number is the interface's.
    file(REAL_PATH ${MIEN_${name}_LIBRARY} real)
    if(real MATCHES "/(lib${library}[.]so[.][0-9]+)")
      set(soname ${CMAKE_MATCH_1})
    elseif(real MATCHES "/(lib${library}[.][0-9]+)[.].*dylib")
      set(soname ${CMAKE_MATCH_1}.dylib)
    endif()
  endif()
  if(soname AND name STREQUAL "TIFF")
    file(STRINGS ${MIEN_TIFF_INCLUDE_DIR}/tiffvers.h version
         REGEX "define TIFFLIB_VERSION +[0-9]+")
    string(REGEX MATCH "[0-9]+$" version "${version}")
    if(NOT version OR version LESS 20221213)  # 4.5: limits and messages of a file's own
      set(soname "")
    endif()
  endif()
  if(soname)
    set(image_format_definitions
        ${image_format_definitions} MIEN_${name}_SONAME="${soname}" PARENT_SCOPE)
    set(image_format_folders ${image_format_folders} ${MIEN_${name}_INCLUDE_DIR} PARENT_SCOPE)
  else()
    list(FILTER pixel_sources EXCLUDE REGEX "/${file}[.]cpp$")
    set(pixel_sources ${pixel_sources} PARENT_SCOPE)
    if(MIEN_${name})
      message(STATUS "No library for ${name} found: images of that kind are not read")
    endif()
  endif()
endfunction()
mien_image_format(WEBP webp/decode.h webp)
mien_image_format(TIFF tiffio.h tiff)
mien_image_format(HEIF libheif/heif.h heif)

# Only what touches pixels is compiled for speed.
add_library(mien_pixels OBJECT ${pixel_sources})
add_library(mien_host STATIC ${host_sources} $<TARGET_OBJECTS:mien_pixels>)
target_compile_options(mien_host PRIVATE $<$<CONFIG:Release>:-Os>)
# Inside the programs: the cascade and HEAD.mien for each head. HEAD-NAME.mien is another network for
# that head, which lies beside them.
file(GLOB weights CONFIGURE_DEPENDS weights/*.mien)
set(named ${weights})
list(FILTER named INCLUDE REGEX "-[^/]*$")
list(TRANSFORM named REPLACE ".*/(.*)[.]mien$" "\\1")
list(JOIN named " " named)
target_compile_definitions(mien_host PRIVATE "MIEN_NAMED_NETWORKS=\"${named}\"")
list(FILTER weights EXCLUDE REGEX "-[^/]*$")
mien_embed(mien_host mien::host::embedded_weights FILES ${weights})
# stb_image's implementation is compiled in these files: hostile images can make its integers
# overflow, which -fwrapv defines; and g++ 12 thinks that it reads a context before setting it.
set_source_files_properties(src/host/codec/image_file.cpp src/host/codec/jpeg_stb.cpp PROPERTIES
  COMPILE_OPTIONS "-fwrapv;$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>")
target_include_directories(mien_pixels PRIVATE src)
target_compile_definitions(mien_pixels PRIVATE ${image_format_definitions})
target_include_directories(mien_pixels SYSTEM PRIVATE ${image_format_folders})
target_link_libraries(mien_host PRIVATE ${CMAKE_DL_LIBS})
target_include_directories(mien_pixels SYSTEM PRIVATE ${STB_INCLUDE_DIR})
target_link_libraries(mien_pixels PRIVATE mien mien_options)
target_include_directories(mien_host PUBLIC src)
target_compile_definitions(mien_host PRIVATE ${image_format_definitions})
target_link_libraries(mien_host PUBLIC mien PRIVATE mien_options nlohmann_json::nlohmann_json)
if(turbo)
  target_include_directories(mien_pixels SYSTEM PRIVATE
    ${MIEN_JPEG_INCLUDE_DIR} ${MIEN_JPEG_CONFIG_DIR})
  target_link_libraries(mien_host PRIVATE ${MIEN_JPEG_LIBRARY})
endif()
mien_unity(mien_pixels)
mien_unity(mien_host)
