# IBM Z: no board, but the only big-endian processor that Debian builds for.
set(MIEN_CROSS s390x-linux-gnu)
set(CMAKE_SYSTEM_PROCESSOR s390x)
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
