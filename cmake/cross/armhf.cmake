# ARMv7, 32 bits with hardware floating point (Raspberry Pi 2 and later, BeagleBone).
set(MIEN_CROSS arm-linux-gnueabihf)
set(CMAKE_SYSTEM_PROCESSOR armv7l)
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
