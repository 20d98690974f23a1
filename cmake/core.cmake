# The core: a C++20 compiler and nothing else. With the kernels of each instruction set.

set(core_sources
  src/base/container.cpp src/base/crc32.cpp src/base/status.cpp
  src/kernels/dispatch.cpp src/kernels/net/scalar.cpp src/kernels/detect/scalar.cpp
  src/kernels/detect/single.cpp src/kernels/image/scalar.cpp
  src/image/gray.cpp src/image/linear.cpp
  src/detect/finder.cpp
  src/detect/haar/cascade.cpp src/detect/haar/detector.cpp src/detect/haar/group.cpp
  src/detect/haar/pyramid.cpp src/detect/haar/stump_table.cpp
  src/detect/net/face_net.cpp
  src/nn/model_file.cpp src/nn/network.cpp src/nn/team.cpp src/nn/verify.cpp
  src/pipeline/crop.cpp src/pipeline/engine.cpp src/pipeline/mien_c.cpp
  src/track/search_haar.cpp src/track/search_net.cpp src/track/smoothing.cpp
  src/track/tracker.cpp)

# mien_kernels(FLAGS FILE...): kernels of one instruction set. Only these files are built for more
# than the base processor.
function(mien_kernels flags)
  list(TRANSFORM ARGN PREPEND src/kernels/ OUTPUT_VARIABLE files)
  set_source_files_properties(${files} PROPERTIES COMPILE_OPTIONS "${flags}")
  set(core_sources ${core_sources} ${files} PARENT_SCOPE)
endfunction()

if(MIEN_SCALAR_ONLY)
  set(simd_definitions MIEN_SCALAR_ONLY=1)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|i.86")
  mien_kernels("-msse4.1" net/sse41.cpp detect/sse41.cpp image/sse41.cpp)
  mien_kernels("-mavx2" net/avx2.cpp detect/avx2.cpp image/avx2.cpp)
  mien_kernels("-mavx2;-mavxvnni" net/avxvnni.cpp)
  set(avx512_flags -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni)
  # g++ 12 takes the undefined operands inside its own AVX-512 headers for a fault.
  list(APPEND avx512_flags -Wno-uninitialized $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  mien_kernels("${avx512_flags}" net/avx512.cpp detect/avx512.cpp)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  mien_kernels("" net/neon.cpp detect/neon.cpp image/neon.cpp)
  mien_kernels("-march=armv8.2-a+dotprod" net/dotprod.cpp)
  mien_kernels("-march=armv8.2-a+dotprod+i8mm" net/i8mm.cpp)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^arm")
  mien_kernels("-mfpu=neon" net/neon.cpp detect/neon.cpp image/neon.cpp)
elseif(CMAKE_SYSTEM_PROCESSOR STREQUAL "riscv64")
  # clang 17, g++ 14, or later
  include(CheckCXXSourceCompiles)
  set(CMAKE_REQUIRED_FLAGS -march=rv64gcv)
  check_cxx_source_compiles("
    #include <riscv_vector.h>
    static_assert(__riscv_v_intrinsic >= 12000);
    int main() { return 0; }" MIEN_HAVE_RVV)
  unset(CMAKE_REQUIRED_FLAGS)
  if(MIEN_HAVE_RVV)
    set(simd_definitions MIEN_RVV=1)
    mien_kernels("-march=rv64gcv" net/rvv.cpp detect/rvv.cpp image/rvv.cpp)
  endif()
elseif(CMAKE_SYSTEM_PROCESSOR STREQUAL "wasm32")
  # A module is taken or refused as a whole, so the module with vectors has them everywhere; the
  # other one has MIEN_SCALAR_ONLY.
  target_compile_options(mien_options INTERFACE -msimd128)
  mien_kernels("" net/simd128.cpp detect/simd128.cpp image/simd128.cpp)
endif()

# Kernels write to arrays of a fixed size and are called for each row: a canary would only cost.
foreach(file ${core_sources})
  if(MIEN_HARDEN AND file MATCHES "^src/kernels/")
    set_property(SOURCE ${file} APPEND PROPERTY COMPILE_OPTIONS -fno-stack-protector)
  endif()
endforeach()

add_library(mien_core OBJECT ${core_sources})
target_include_directories(mien_core
  PRIVATE src PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
target_compile_options(mien_core PRIVATE -fno-exceptions -fno-rtti)
target_compile_definitions(mien_core PRIVATE ${simd_definitions})
target_link_libraries(mien_core PRIVATE mien_options)
