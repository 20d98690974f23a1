# Debian packages by CPack, one per component of install.cmake; tools/packages.sh builds them. Read
# only where MIEN_PACKAGE is on: the prefix is then /usr.
option(MIEN_PACKAGE "Prepare `cpack -G DEB`" OFF)
if(NOT MIEN_PACKAGE)
  return()
endif()
set(MIEN_DEBIAN_ARCHITECTURE "" CACHE STRING "Debian's name of the processor, such as arm64")
set(MIEN_SONAME ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})

set(CPACK_PACKAGE_VENDOR "The mien developers")
set(CPACK_PACKAGE_CONTACT "The mien developers <maintainers@users.noreply.github.com>")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE ${MIEN_DEBIAN_ARCHITECTURE})
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL program library development data)
set(version "${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}")

# COMPONENT NAME SECTION LINE...: lines of its description, under the project's
function(debian_package component name section)
  string(TOUPPER ${component} c)
  set(CPACK_DEBIAN_${c}_PACKAGE_NAME ${name} PARENT_SCOPE)
  set(CPACK_DEBIAN_${c}_PACKAGE_SECTION ${section} PARENT_SCOPE)
  list(JOIN ARGN "\n" lines)
  set(CPACK_COMPONENT_${c}_DESCRIPTION "${lines}" PARENT_SCOPE)
  set(folder share/doc/${name})
  install(FILES ${PROJECT_BINARY_DIR}/debian/copyright DESTINATION ${folder} COMPONENT ${component})
  install(FILES ${PROJECT_BINARY_DIR}/debian/changelog.Debian.gz DESTINATION ${folder}
    COMPONENT ${component})
endfunction()
debian_package(program mien graphics
  "The program: photos, cameras, films, a web service. It needs no graphics"
  "processor and no connection, for its networks are inside.")
debian_package(library libmien${MIEN_SONAME} libs
  "The library: an engine in C++, with an interface for C. Its weights are in"
  "mien-data.")
debian_package(development libmien-dev libdevel
  "Headers, static library, CMake package and pkg-config file.")
debian_package(data mien-data misc
  "The weights: networks and a cascade, for programs that use the library.")
set(CPACK_DEBIAN_DATA_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_RECOMMENDS mien-data)
set(suggested mien-data)  # networks by name; the others are loaded for --ros2 and --mqtt
if(CycloneDDS_FOUND)
  list(APPEND suggested libddsc0debian)
endif()
if(TARGET mien_mqtt)
  list(APPEND suggested libmosquitto1)
endif()
list(JOIN suggested ", " CPACK_DEBIAN_PROGRAM_PACKAGE_SUGGESTS)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
  "libmien${MIEN_SONAME} (= ${version}), mien-data (= ${version})")

# What a program or library asks of the C library: read from the files by dpkg-shlibdeps, which
# cannot do so for another processor. There it is the version that the cross compiler has.
set(overrides "# libjpeg's messages, which its header jerror.h has.\nmien: embedded-library\n")
if(CMAKE_CROSSCOMPILING)
  file(WRITE ${PROJECT_BINARY_DIR}/glibc.c "#include <features.h>\n__GLIBC__.__GLIBC_MINOR__\n")
  execute_process(COMMAND ${CMAKE_C_COMPILER} -E -P ${PROJECT_BINARY_DIR}/glibc.c
    OUTPUT_VARIABLE glibc OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX REPLACE "[^0-9.]" "" glibc "${glibc}")
  set(CPACK_DEBIAN_PROGRAM_PACKAGE_DEPENDS "libc6 (>= ${glibc})")
  set(CPACK_DEBIAN_LIBRARY_PACKAGE_DEPENDS
    "libc6 (>= ${glibc}), libstdc++6 (>= ${CMAKE_CXX_COMPILER_VERSION}), libgcc-s1")
else()
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
endif()
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
file(WRITE ${PROJECT_BINARY_DIR}/debian/overrides "${overrides}")
install(FILES ${PROJECT_BINARY_DIR}/debian/overrides DESTINATION share/lintian/overrides
  RENAME mien COMPONENT program)
file(WRITE ${PROJECT_BINARY_DIR}/debian/triggers "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${PROJECT_BINARY_DIR}/debian/triggers)

# Both texts, and the pages of the manual, are compressed without a time, so that two builds are the
# same. The date of the changelog is that of SOURCE_DATE_EPOCH.
set(epoch "$ENV{SOURCE_DATE_EPOCH}")
if(NOT epoch)
  message(FATAL_ERROR "MIEN_PACKAGE needs SOURCE_DATE_EPOCH; tools/packages.sh sets it")
endif()
execute_process(COMMAND date -u -R -d @${epoch} OUTPUT_VARIABLE date
  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
file(WRITE ${PROJECT_BINARY_DIR}/debian/changelog.Debian
  "mien (${version}) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n"
  " -- ${CPACK_PACKAGE_CONTACT}  ${date}\n")
execute_process(COMMAND gzip -9nkf ${PROJECT_BINARY_DIR}/debian/changelog.Debian
  COMMAND_ERROR_IS_FATAL ANY)
# OUT TEXT: as a field of a Debian file has it, lines indented and empty ones a dot.
function(debian_field out text)
  string(REGEX REPLACE "\n([ \t]*\n)+" "\n.\n" text "${text}")
  string(STRIP "${text}" text)
  string(REPLACE "\n" "\n " text "${text}")
  set(${out} "${text}" PARENT_SCOPE)
endfunction()
file(READ LICENSE license)
string(REGEX REPLACE "^[^\n]*\n+[^\n]*\n+" "" license "${license}")  # its title and its holders
debian_field(license "${license}")
file(READ THIRD_PARTY.md third)
debian_field(third "${third}")
file(WRITE ${PROJECT_BINARY_DIR}/debian/copyright
  "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
  "Upstream-Name: mien\nComment:\n ${third}\n\n"
  "Files: *\nCopyright: 2026 The mien developers\nLicense: Expat\n ${license}\n")
if(MIEN_MAKES_MANUAL OR NOT CMAKE_CROSSCOMPILING)
  install(CODE "
    file(GLOB pages \$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_MANDIR}/man1/*.1)
    foreach(page IN LISTS pages)
      execute_process(COMMAND gzip -9nf \${page} COMMAND_ERROR_IS_FATAL ANY)
    endforeach()" COMPONENT program)
endif()
include(CPack)
