# What the cross toolchains share: Debian's cross compiler for MIEN_CROSS. Programs are linked
# statically, so that they run on a board (and under qemu-user) whatever C library it has. The
# packages that mien needs are header-only and come from this machine.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_C_COMPILER ${MIEN_CROSS}-gcc)
set(CMAKE_CXX_COMPILER ${MIEN_CROSS}-g++)
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static -s")
set(CMAKE_FIND_ROOT_PATH /usr/${MIEN_CROSS})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE BOTH)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)
# Except libjpeg-turbo: the distribution's package for that processor, installed, or unpacked by
# tools/foreign.sh.
set(CMAKE_LIBRARY_ARCHITECTURE ${MIEN_CROSS})
get_filename_component(foreign ${CMAKE_CURRENT_LIST_DIR}/../../build/foreign ABSOLUTE)
list(APPEND CMAKE_FIND_ROOT_PATH ${foreign} /)
