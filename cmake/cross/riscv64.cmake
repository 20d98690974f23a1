# RISC-V, RV64GC.
set(MIEN_CROSS riscv64-linux-gnu)
set(CMAKE_SYSTEM_PROCESSOR riscv64)
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
