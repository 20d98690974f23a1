# RISC-V, RV64GC. By clang where there is one that knows the vectors of these processors (17 or later;
# Debian 12 has clang-19), with the headers and libraries of the cross g++; else by that g++.
set(MIEN_CROSS riscv64-linux-gnu)
set(CMAKE_SYSTEM_PROCESSOR riscv64)
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
find_program(MIEN_RISCV64_CLANG
  NAMES clang++-22 clang++-21 clang++-20 clang++-19 clang++-18 clang++-17 NO_CMAKE_FIND_ROOT_PATH)
if(MIEN_RISCV64_CLANG)
  string(REPLACE clang++ clang clang_for_c ${MIEN_RISCV64_CLANG})
  set(CMAKE_CXX_COMPILER ${MIEN_RISCV64_CLANG})
  set(CMAKE_C_COMPILER ${clang_for_c})
  foreach(language C CXX)
    set(CMAKE_${language}_COMPILER_TARGET ${MIEN_CROSS})
  endforeach()
  # It takes g++ 12's own headers for old-fashioned, and -pie for superfluous in a static program.
  set(CMAKE_CXX_FLAGS_INIT -Wno-deprecated-declarations)
  string(APPEND CMAKE_EXE_LINKER_FLAGS_INIT " -Wno-unused-command-line-argument")
endif()
