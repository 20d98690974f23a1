# The command line tool, and the libraries that are its parts: video, service, reports.

if(MIEN_BUILD_PYTHON)  # the wheel has the program where it can be built
  find_package(CLI11 QUIET)
  if(NOT CLI11_FOUND)
    message(STATUS "CLI11 not found: the wheel is built without the program `mien`")
    return()
  endif()
endif()
find_package(CLI11 REQUIRED)

# Boost.Beast is headers only, so programs for other processors have it, too.
if(MIEN_SERVE)
  find_path(MIEN_BOOST_INCLUDE_DIR boost/beast/version.hpp)
  if(NOT MIEN_BOOST_INCLUDE_DIR)
    message(STATUS "Boost.Beast not found: the program is built without `mien serve`, --mjpeg\
 and `mien video http://...`")
  endif()
endif()

# Cameras, films and the loop. What is optional is off in programs that are to be copied to other
# machines.
file(GLOB live_sources CONFIGURE_DEPENDS src/video/*.cpp src/camera/*.cpp src/live/*.cpp)
add_library(mien_live STATIC ${live_sources})
# Small where no pixel is touched.
target_compile_options(mien_live PRIVATE $<$<CONFIG:Release>:-Os>)
set_source_files_properties(
  src/video/decoder.cpp src/video/frame_shape.cpp src/video/pixels.cpp PROPERTIES
  COMPILE_OPTIONS $<$<CONFIG:Release>:-O3> SKIP_UNITY_BUILD_INCLUSION ON)
# g++ 12 sees overruns in std::vector::insert that are not there (its bug 105329 and others).
target_compile_options(mien_live PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow>)
target_link_libraries(mien_live
  PUBLIC mien_host PRIVATE mien_options nlohmann_json::nlohmann_json)
mien_unity(mien_live)
# Its templates take long, and half of its headers would go to every file beside it.
set_source_files_properties(src/video/http_reader.cpp PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
if(MIEN_SERVE AND MIEN_BOOST_INCLUDE_DIR)
  target_compile_definitions(mien_live PUBLIC MIEN_HAS_HTTP=1)
  target_include_directories(mien_live SYSTEM PRIVATE ${MIEN_BOOST_INCLUDE_DIR})
endif()
if(MIEN_FFMPEG OR MIEN_SDL2)
  find_package(PkgConfig REQUIRED)
endif()
if(MIEN_FFMPEG)
  pkg_check_modules(MIEN_FFMPEG_LIBRARIES REQUIRED IMPORTED_TARGET
    libavformat libavcodec libavutil libswscale)
  target_compile_definitions(mien_live PRIVATE MIEN_HAS_FFMPEG=1)
  target_link_libraries(mien_live PRIVATE PkgConfig::MIEN_FFMPEG_LIBRARIES)
endif()
if(MIEN_SDL2)
  pkg_check_modules(MIEN_SDL2_LIBRARIES REQUIRED IMPORTED_TARGET sdl2)
  target_compile_definitions(mien_live PRIVATE MIEN_HAS_SDL2=1)
  target_link_libraries(mien_live PRIVATE PkgConfig::MIEN_SDL2_LIBRARIES)
endif()

# ROS 2 without ROS, by Cyclone DDS, which is loaded when somebody asks for it. What the messages say
# is in every build; idlc makes structures of messages.idl.
add_library(mien_ros2 STATIC src/ros2/message.cpp)
target_compile_options(mien_ros2 PRIVATE $<$<CONFIG:Release>:-Os>)
target_link_libraries(mien_ros2 PUBLIC mien_live PRIVATE mien_options)
if(MIEN_ROS2)
  find_package(CycloneDDS QUIET)
  find_program(MIEN_IDLC idlc)
  set(ros2_soname "")
  if(CycloneDDS_FOUND AND MIEN_IDLC)
    get_target_property(ros2_configuration CycloneDDS::ddsc IMPORTED_CONFIGURATIONS)
    get_target_property(ros2_soname CycloneDDS::ddsc IMPORTED_SONAME_${ros2_configuration})
  endif()
  if(ros2_soname)
    set(ros2_folder ${PROJECT_BINARY_DIR}/ros2)
    file(MAKE_DIRECTORY ${ros2_folder})
    # -t: without type information, as ROS 2's own nodes, so that readers compare names alone.
    add_custom_command(OUTPUT ${ros2_folder}/messages.c ${ros2_folder}/messages.h
      COMMAND ${MIEN_IDLC} -t -x final -o ${ros2_folder} ${PROJECT_SOURCE_DIR}/src/ros2/messages.idl
      DEPENDS src/ros2/messages.idl VERBATIM)
    target_sources(mien_ros2 PRIVATE src/ros2/dds.cpp src/ros2/image_source.cpp
      src/ros2/publisher.cpp ${ros2_folder}/messages.c ${ros2_folder}/messages.h)
    # Debian has this header beside those that all processors share.
    find_path(MIEN_DDS_CONFIG_DIR dds/features.h PATH_SUFFIXES ${CMAKE_LIBRARY_ARCHITECTURE})
    target_include_directories(mien_ros2 SYSTEM PRIVATE ${ros2_folder}
      $<$<BOOL:${MIEN_DDS_CONFIG_DIR}>:${MIEN_DDS_CONFIG_DIR}>
      $<TARGET_PROPERTY:CycloneDDS::ddsc,INTERFACE_INCLUDE_DIRECTORIES>)
    target_compile_definitions(mien_ros2
      PUBLIC MIEN_HAS_ROS2=1 PRIVATE MIEN_CYCLONEDDS_SONAME="${ros2_soname}")
    target_link_libraries(mien_ros2 PRIVATE ${CMAKE_DL_LIBS} Threads::Threads)
  else()
    message(STATUS "Cyclone DDS not found: the program is built without --ros2")
  endif()
endif()

# The web service, and the live view of --mjpeg.
if(MIEN_SERVE AND MIEN_BOOST_INCLUDE_DIR)
  file(GLOB serve_sources CONFIGURE_DEPENDS src/serve/*.cpp)
  # The page's switch "on this device" needs the WebAssembly modules, which another compiler makes:
  # taken where `make wasm` was run, else empty files stand in for them.
  set(wasm_dir "${MIEN_WEB_DIR}")
  if(NOT wasm_dir OR NOT EXISTS ${wasm_dir}/mien.wasm OR NOT EXISTS ${wasm_dir}/mien-simd.wasm)
    message(STATUS
      "No WebAssembly modules (make wasm): the page's switch \"on this device\" will say so")
    set(wasm_dir ${PROJECT_BINARY_DIR}/no-wasm)
    file(WRITE ${wasm_dir}/mien.wasm "")
    file(WRITE ${wasm_dir}/mien-simd.wasm "")
  endif()
  add_library(mien_serve STATIC ${serve_sources})
  set(page_dir src/serve/page)
  mien_embed(mien_serve mien::serve::page_files FILES
    ${page_dir}/page.html ${page_dir}/page.css ${page_dir}/page.js
    ${page_dir}/device.js ${page_dir}/device-worker.js ${page_dir}/openapi.json
    src/web/mien.js ${wasm_dir}/mien.wasm ${wasm_dir}/mien-simd.wasm)
  mien_embed(mien_serve mien::serve::live_files FILES ${page_dir}/live.html ${page_dir}/live.css)
  target_compile_definitions(mien_serve PUBLIC MIEN_HAS_SERVE=1)
  target_compile_options(mien_serve PRIVATE $<$<CONFIG:Release>:-Os>)  # it waits for the engine
  target_include_directories(mien_serve SYSTEM PUBLIC ${MIEN_BOOST_INCLUDE_DIR})
  target_link_libraries(mien_serve
    PUBLIC mien_host Threads::Threads PRIVATE mien_options nlohmann_json::nlohmann_json)
endif()

# Messages for a broker. The library is loaded by its name when --mqtt asks for it.
if(MIEN_MQTT)
  find_path(MIEN_MOSQUITTO_INCLUDE_DIR mosquitto.h)
  find_library(MIEN_MOSQUITTO_LIBRARY NAMES mosquitto)
  set(soname "")
  if(MIEN_MOSQUITTO_INCLUDE_DIR AND IS_SYMLINK "${MIEN_MOSQUITTO_LIBRARY}")
    # libmosquitto.so leads to libmosquitto.so.1, and that to libmosquitto.so.2.0.11.
    file(READ_SYMLINK ${MIEN_MOSQUITTO_LIBRARY} target)
    if(target MATCHES "(libmosquitto[.]so[.][0-9]+)$")
      set(soname ${CMAKE_MATCH_1})
    endif()
  endif()
  if(soname)
    file(GLOB mqtt_sources CONFIGURE_DEPENDS src/mqtt/*.cpp)
    add_library(mien_mqtt STATIC ${mqtt_sources})
    target_compile_definitions(mien_mqtt
      PUBLIC MIEN_HAS_MQTT=1 PRIVATE MIEN_MOSQUITTO_SONAME="${soname}")
    target_compile_options(mien_mqtt PRIVATE $<$<CONFIG:Release>:-Os>)
    target_include_directories(mien_mqtt SYSTEM PRIVATE ${MIEN_MOSQUITTO_INCLUDE_DIR})
    target_link_libraries(mien_mqtt PUBLIC mien_live mien_host Threads::Threads
      PRIVATE mien_options nlohmann_json::nlohmann_json ${CMAKE_DL_LIBS})
    mien_unity(mien_mqtt)
  else()
    message(STATUS "No libmosquitto found: the program is built without --mqtt")
  endif()
endif()

# Images and pages of explanations.
if(MIEN_EXPLAIN AND TARGET mien_explain)
  file(GLOB report_sources CONFIGURE_DEPENDS src/report/*.cpp)
  add_library(mien_report STATIC ${report_sources})
  mien_embed(mien_report mien::report::page_files FILES src/report/page.html src/report/page.css)
  target_compile_definitions(mien_report PUBLIC MIEN_HAS_EXPLAIN=1)
  target_link_libraries(mien_report
    PUBLIC mien_explain mien_host PRIVATE mien_options nlohmann_json::nlohmann_json)
  mien_unity(mien_report)
elseif(MIEN_EXPLAIN)
  message(STATUS "Eigen not found: the program is built without `mien explain` and `mien report`")
endif()

file(GLOB cli_sources CONFIGURE_DEPENDS src/cli/*.cpp)
add_executable(mien_tool ${cli_sources})
set_target_properties(mien_tool PROPERTIES OUTPUT_NAME mien)
target_compile_definitions(mien_tool PRIVATE MIEN_VERSION="${PROJECT_VERSION}")
# Options, tables and JSON need no speed; small, the x86-64 program is 277 kB smaller.
target_compile_options(mien_tool PRIVATE $<$<CONFIG:Release>:-Os>)
target_link_libraries(mien_tool PRIVATE
  mien_live mien_ros2 mien_host mien_options CLI11::CLI11 nlohmann_json::nlohmann_json)
mien_unity(mien_tool)
if(TARGET mien_serve)
  target_link_libraries(mien_tool PRIVATE mien_serve)
endif()
if(TARGET mien_mqtt)
  target_link_libraries(mien_tool PRIVATE mien_mqtt)
endif()
if(TARGET mien_report)
  target_link_libraries(mien_tool PRIVATE mien_report)
endif()
if(MIEN_STATIC_RUNTIME AND NOT MIEN_SANITIZE AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
  target_link_options(mien_tool PRIVATE -static-libstdc++ -static-libgcc)
endif()
