# CMake before 3.31 does not know this system and would warn of it; there is nothing to say about it.
set(CMAKE_EXECUTABLE_SUFFIX .wasm)
