# What can be chosen, and the flags that every target has.

option(MIEN_BUILD_TOOL "Build the command line tool (needs stb, CLI11, nlohmann-json)"
       ${PROJECT_IS_TOP_LEVEL})
option(MIEN_BUILD_PYTHON
       "Build the Python module (needs nanobind, stb, nlohmann-json; `pip install .` sets it)" OFF)
option(MIEN_BUILD_TESTS "Build the tests (needs doctest and Eigen as well)" OFF)
option(MIEN_BUILD_BENCH "Build mien-bench, the measuring program" OFF)
option(MIEN_BUILD_FUZZERS "Build the libFuzzer targets (needs clang)" OFF)
option(MIEN_INSTALL "Install the library, its headers and packages" ${PROJECT_IS_TOP_LEVEL})
option(MIEN_SCALAR_ONLY "Leave out every SIMD path" OFF)
option(MIEN_STATIC_RUNTIME "The tool brings its C++ library along and so starts sooner" ON)
set(MIEN_SANITIZE OFF CACHE STRING
    "ON: AddressSanitizer and UndefinedBehaviorSanitizer; thread: ThreadSanitizer;\
 trap: UndefinedBehaviorSanitizer without its reports, at little cost (clang); OFF")
set_property(CACHE MIEN_SANITIZE PROPERTY STRINGS OFF ON thread trap)
option(MIEN_TURBOJPEG
       "JPEG by libjpeg-turbo where it is found; else by stb_image" ON)
# Loaded when the first such file comes, so a program built with them runs without them. Off where
# the program is for another machine.
set(native ON)
if(CMAKE_CROSSCOMPILING OR NOT UNIX)
  set(native OFF)
endif()
option(MIEN_WEBP "WebP by libwebp, where its headers are found" ${native})
option(MIEN_TIFF "TIFF by libtiff 4.5 or later, where its headers are found" ${native})
option(MIEN_HEIF "HEIC and AVIF by libheif, where its headers are found" ${native})
option(MIEN_ROS2 "`--ros2`, by Cyclone DDS, where its headers and its idlc are found" ${native})
option(MIEN_MQTT "`--mqtt` by libmosquitto, where its header is found" ${native})
option(MIEN_FFMPEG "`mien video` reads films by FFmpeg's libraries" OFF)
option(MIEN_SERVE "`mien serve`, where the headers of Boost.Beast are found" ON)
option(MIEN_EXPLAIN "`mien explain` and `mien report`, where Eigen is found" ON)
option(MIEN_SDL2 "--window, by SDL2" OFF)
option(MIEN_HARDEN "Optimised builds check and protect themselves where the compiler can" ON)
# For those who build mien itself, so the presets set it: it halves the time of a whole build, but
# costs time after a change of one file.
option(MIEN_UNITY "Compile the files around the core several at a time" OFF)
set(MIEN_WEB_DIR ${PROJECT_SOURCE_DIR}/build/npm CACHE PATH
    "Where `mien serve` takes mien.wasm and mien-simd.wasm for its page; empty: not at all")
# Other compilers know other warnings, and false ones: there a warning must not stop anyone's build.
set(MIEN_WERROR OFF CACHE STRING
    "Warnings are errors: ON, OFF or CI (with the compilers of CI only: g++ 12 and clang 14)")
set_property(CACHE MIEN_WERROR PROPERTY STRINGS OFF ON CI)

if(NOT CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
  message(FATAL_ERROR "mien needs g++ 11 or clang 14, or later: its kernels use the vectors of"
                      " these compilers, which ${CMAKE_CXX_COMPILER_ID} does not have.")
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 11)
  message(FATAL_ERROR "mien needs g++ 11 or later: g++ ${CMAKE_CXX_COMPILER_VERSION} lacks AVX-VNNI"
                      " and parts of C++20. Name another by -DCMAKE_CXX_COMPILER=g++-11 or clang++.")
endif()

set(werror ${MIEN_WERROR})
if(MIEN_WERROR STREQUAL "CI")
  set(werror OFF)
  if("${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}" MATCHES "^(GNU 12|Clang 14)[.]")
    set(werror ON)
  endif()
endif()

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

# -ffp-contract=off: a fused multiply-add rounds once where OpenCV, numpy and the other paths round
# twice. -Wno-restrict: g++ 12 warns of std::string's own operator+ (its bug 105651).
add_library(mien_options INTERFACE)
target_compile_options(mien_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wconversion -Wshadow $<$<BOOL:${werror}>:-Werror>
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>>
  $<$<COMPILE_LANGUAGE:CXX,C>:-ffp-contract=off -ffunction-sections -fdata-sections>)
target_link_options(mien_options INTERFACE $<$<PLATFORM_ID:Linux>:-Wl,--gc-sections>)
# 32-bit x86 computes by x87 unless told otherwise, with more digits and so with other bits. SSE2 is
# in all of its processors since 2001 (Pentium 4).
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|i.86" AND CMAKE_SIZEOF_VOID_P EQUAL 4)
  target_compile_options(mien_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX,C>:-msse2 -mfpmath=sse>)
endif()
# A fault that an attacker finds should end the program and not obey him: checked copies and stacks,
# marked places to jump to, and nothing both writable and executed. tests/e2e/test_hardening.py reads
# what became of it in the program and in the library. Sanitizers check more, by themselves.
if(MIEN_HARDEN AND NOT MIEN_SANITIZE AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
  include(CheckCXXCompilerFlag)
  set(mien_hardening "")
  set(wanted -fstack-protector-strong)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    list(APPEND wanted -fcf-protection)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    list(APPEND wanted -mbranch-protection=standard)
  endif()
  foreach(flag ${wanted})
    string(MAKE_C_IDENTIFIER "MIEN_HAS${flag}" known)
    check_cxx_compiler_flag(${flag} ${known})
    if(${known})
      list(APPEND mien_hardening ${flag})
    endif()
  endforeach()
  target_compile_options(mien_options INTERFACE
    $<$<AND:$<COMPILE_LANGUAGE:CXX,C>,$<CONFIG:Release,RelWithDebInfo>>:${mien_hardening}
      -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3>)
  set(mien_hardened_link -Wl,-z,relro,-z,now,-z,noexecstack)
  target_link_options(mien_options INTERFACE ${mien_hardened_link})
  # An executable is moved like a library; a static one for a board stays where it is.
  include(CheckPIESupported)
  check_pie_supported(LANGUAGES CXX)
endif()
if(MIEN_SANITIZE STREQUAL "thread")
  set(mien_sanitizers thread)
elseif(MIEN_SANITIZE STREQUAL "trap")
  target_compile_options(mien_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX,C>:-fsanitize=undefined -fsanitize-trap=undefined>)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
elseif(MIEN_SANITIZE)
  set(mien_sanitizers address,undefined)
endif()
if(mien_sanitizers)
  target_compile_options(mien_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX,C>:-fsanitize=${mien_sanitizers} -fno-sanitize-recover=all
      -fno-omit-frame-pointer>)
  target_link_options(mien_options INTERFACE -fsanitize=${mien_sanitizers})
endif()
if(MIEN_BUILD_FUZZERS)
  include(CheckCXXSourceCompiles)
  set(CMAKE_REQUIRED_FLAGS "-fsanitize=fuzzer,address,undefined")
  check_cxx_source_compiles(
    "extern \"C\" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }"
    MIEN_HAS_FUZZER)
  unset(CMAKE_REQUIRED_FLAGS)
  if(NOT MIEN_HAS_FUZZER)
    message(FATAL_ERROR "The fuzz targets need clang and its runtime libraries"
                        " (Debian, Ubuntu: clang and libclang-rt-dev).")
  endif()
  target_compile_options(mien_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=fuzzer-no-link>)
endif()

# For files that take longer over the headers of CLI11, nlohmann-json or Eigen than over their own
# lines. At most 16 together: they need less memory than serve/server.cpp alone (optimised, g++ 12:
# 692 and 780 MiB). The core's files stay by themselves; those with flags of their own have to.
function(mien_unity target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${MIEN_UNITY} UNITY_BUILD_BATCH_SIZE 16)
endfunction()
