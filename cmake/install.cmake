# The library, its headers and weights, the tool, a CMake package and a pkg-config file. Nothing
# that is installed holds the prefix, so that it may be chosen, or moved, at any time.

# Each part is a component, which becomes a package of its own (package.cmake).
install(TARGETS mien mien_shared EXPORT mienTargets
  ARCHIVE COMPONENT development
  LIBRARY COMPONENT library NAMELINK_COMPONENT development)
install(DIRECTORY include/mien TYPE INCLUDE COMPONENT development)
if(TARGET mien_tool)
  install(TARGETS mien_tool RUNTIME COMPONENT program)
endif()
set(mien_weights_dir ${CMAKE_INSTALL_DATADIR}/mien)
install(DIRECTORY weights/ DESTINATION ${mien_weights_dir} COMPONENT data FILES_MATCHING
  PATTERN "*.mien"
  PATTERN float EXCLUDE)
install(FILES LICENSE THIRD_PARTY.md README.md CHANGELOG.md TYPE DOC COMPONENT guides)
file(GLOB guides CONFIGURE_DEPENDS docs/*.md docs/example.cpp)
install(FILES ${guides} DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs COMPONENT guides)

# Manual pages and completions, which the program makes of its own tables of options. Built for
# another processor, it runs under an emulator or not at all.
set(MIEN_MAKES_MANUAL ${CMAKE_CROSSCOMPILING_EMULATOR})
if(TARGET mien_tool AND (MIEN_MAKES_MANUAL OR NOT CMAKE_CROSSCOMPILING))
  set(manual_dir ${PROJECT_BINARY_DIR}/manual)
  add_custom_command(OUTPUT ${manual_dir}/made
    COMMAND ${MIEN_MAKES_MANUAL} $<TARGET_FILE:mien_tool> manual --all ${manual_dir}
    COMMAND ${CMAKE_COMMAND} -E touch ${manual_dir}/made
    DEPENDS mien_tool VERBATIM)
  add_custom_target(mien_manual ALL DEPENDS ${manual_dir}/made)
  install(DIRECTORY ${manual_dir}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT program)
  install(FILES ${manual_dir}/mien COMPONENT program
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${manual_dir}/_mien COMPONENT program
    DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
  install(FILES ${manual_dir}/mien.fish COMPONENT program
    DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()
if(TARGET mien_serve AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
  install(FILES tools/deploy/mien.service DESTINATION lib/systemd/system COMPONENT program)
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/mien)
install(EXPORT mienTargets NAMESPACE mien:: DESTINATION ${package_dir} COMPONENT development)
configure_package_config_file(cmake/mienConfig.cmake.in mienConfig.cmake
  INSTALL_DESTINATION ${package_dir} PATH_VARS mien_weights_dir)
write_basic_package_version_file(mienConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/mienConfig.cmake ${PROJECT_BINARY_DIR}/mienConfigVersion.cmake
        DESTINATION ${package_dir} COMPONENT development)

# Folders in mien.pc are relative to where the file lies, except those that are absolute here.
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
set(pc_prefix ${CMAKE_INSTALL_PREFIX})
if(NOT IS_ABSOLUTE ${pkgconfig_dir})
  string(REGEX REPLACE "[^/]+" ".." up ${pkgconfig_dir})  # lib/pkgconfig: ../..
  set(pc_prefix "\${pcfiledir}/${up}")
endif()
foreach(kind LIBDIR INCLUDEDIR DATADIR)
  string(TOLOWER pc_${kind} name)
  set(${name} "\${prefix}")
  cmake_path(APPEND ${name} ${CMAKE_INSTALL_${kind}})  # an absolute folder replaces the prefix
endforeach()
configure_file(cmake/mien.pc.in mien.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/mien.pc DESTINATION ${pkgconfig_dir} COMPONENT development)
