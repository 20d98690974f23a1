# libmien.a is `mien`, libmien.so is `mien_shared`: both from the same objects, with the C++ and the
# C interface, a pool of threads and the reader of OpenCV's cascades.

# Beside the core, which knows no threads.
find_package(Threads REQUIRED)
add_library(mien_threads OBJECT src/threads/thread_pool.cpp src/threads/thread_pool_c.cpp)
target_include_directories(mien_threads PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
target_include_directories(mien_threads PRIVATE src)
target_link_libraries(mien_threads PRIVATE mien_options)

# Reads OpenCV's cascades: beside the core, too, which has no heap.
add_library(mien_opencv OBJECT
  src/opencv/cascade_xml.cpp src/opencv/cascade_xml_c.cpp src/opencv/sha256.cpp src/opencv/xml.cpp)
target_include_directories(mien_opencv
  PRIVATE src PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
target_compile_options(mien_opencv PRIVATE $<$<CONFIG:Release>:-Os>)
target_link_libraries(mien_opencv PRIVATE mien_options)

set(mien_objects $<TARGET_OBJECTS:mien_core> $<TARGET_OBJECTS:mien_threads>
    $<TARGET_OBJECTS:mien_opencv>)
add_library(mien STATIC ${mien_objects})
add_library(mien_shared SHARED ${mien_objects})

# Until 1.0 each minor version may break the interface. The soname says so, as the CMake package
# does (SameMinorVersion in install.cmake).
set(soversion ${PROJECT_VERSION_MAJOR})
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(soversion 0.${PROJECT_VERSION_MINOR})
endif()
set_target_properties(mien_shared PROPERTIES
  OUTPUT_NAME mien VERSION ${PROJECT_VERSION} SOVERSION ${soversion})

target_link_options(mien_shared PRIVATE ${mien_hardened_link})

foreach(library mien mien_shared)
  target_include_directories(${library} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(${library} PUBLIC cxx_std_20)
  target_link_libraries(${library} PUBLIC Threads::Threads)
  if(MIEN_SANITIZE)
    target_link_options(${library} PUBLIC -fsanitize=${mien_sanitizers})
  endif()
  add_library(mien::${library} ALIAS ${library})
endforeach()

# For projects that take mien in as a subdirectory; installed, mienConfig.cmake sets the same name.
set(mien_WEIGHTS_DIR ${PROJECT_SOURCE_DIR}/weights CACHE INTERNAL "Folder of mien's weights")
