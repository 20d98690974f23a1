# ARMv8, 64 bits (Raspberry Pi 3 and later, Jetson, RK3588).
set(MIEN_CROSS aarch64-linux-gnu)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
