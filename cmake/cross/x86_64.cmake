# x86-64, as one static program for any Linux.
set(MIEN_CROSS x86_64-linux-gnu)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
