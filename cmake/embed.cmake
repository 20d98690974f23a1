# Files inside of a program: one file to copy, found from every directory.
#
#   mien_embed(TARGET NAMESPACE::FUNCTION FILES FILE...)
#
# adds a source to TARGET that defines
#
#   std::span<const mien::host::Resource> NAMESPACE::FUNCTION() noexcept;
#
# with one Resource (host/files/resource.h) per FILE, in this order, under the file's name. The
# bytes start at multiples of 64 and are taken anew whenever a file changes.
#
# The assembler includes the files where objects are ELF or Mach-O. Elsewhere, and with
# MIEN_EMBED_ARRAYS, they become arrays, which any C++ compiler takes, but not as fast.

# Second job, as a script (cmake -DIN=... -DOUT=... -P embed.cmake): the bytes of IN as a C++ list.
if(CMAKE_SCRIPT_MODE_FILE)
  file(READ ${IN} hex HEX)
  string(REPEAT "." 64 line)
  string(REGEX REPLACE "(${line})" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  file(WRITE ${OUT} "${bytes}0\n")  # the last byte does not count: no array may be empty
  return()
endif()

set(arrays_default OFF)
if(NOT UNIX OR CYGWIN)
  set(arrays_default ON)
endif()
option(MIEN_EMBED_ARRAYS "Embed files as C++ arrays instead of by the assembler" ${arrays_default})
set(MIEN_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

function(mien_embed_type file result)
  set(utf8 "; charset=utf-8")
  if(file MATCHES "\\.html$")
    set(type "text/html${utf8}")
  elseif(file MATCHES "\\.css$")
    set(type "text/css${utf8}")
  elseif(file MATCHES "\\.js$")
    set(type "text/javascript${utf8}")
  elseif(file MATCHES "\\.json$")
    set(type "application/json")
  elseif(file MATCHES "\\.wasm$")
    set(type "application/wasm")
  else()
    set(type "application/octet-stream")
  endif()
  set(${result} "${type}" PARENT_SCOPE)
endfunction()

function(mien_embed target function)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "FILES")
  string(REGEX REPLACE "::[a-z_]+$" "" namespace ${function})
  string(REGEX REPLACE "^.*::" "" name ${function})
  string(REPLACE "::" "_" symbol ${function})
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/embedded/${symbol})
  set(declarations "")
  set(entries "")
  set(depends "")
  set(index 0)
  foreach(file IN LISTS arg_FILES)
    get_filename_component(file ${file} ABSOLUTE)
    get_filename_component(path ${file} NAME)
    mien_embed_type(${file} type)
    set(bytes ${symbol}_${index})
    if(MIEN_EMBED_ARRAYS)
      add_custom_command(OUTPUT ${folder}/${index}.inc
        COMMAND ${CMAKE_COMMAND} -DIN=${file} -DOUT=${folder}/${index}.inc -P ${MIEN_EMBED_SCRIPT}
        DEPENDS ${file} ${MIEN_EMBED_SCRIPT} VERBATIM)
      list(APPEND depends ${folder}/${index}.inc)
      string(APPEND declarations "alignas(64) constexpr std::uint8_t ${bytes}[] = {\n"
        "#include \"${folder}/${index}.inc\"\n};\n")
      string(APPEND entries "    {\"${path}\", \"${type}\", {${bytes}, sizeof ${bytes} - 1}},\n")
    else()
      list(APPEND depends ${file})
      string(APPEND declarations "MIEN_EMBED(${bytes}, \"${file}\")\n")
      string(APPEND entries "        {\"${path}\", \"${type}\", {${bytes}, ${bytes}_size}},\n")
    endif()
    math(EXPR index "${index} + 1")
  endforeach()
  configure_file(${MIEN_EMBED_DIR}/embedded.cpp.in ${folder}/${name}.cpp @ONLY)
  set_source_files_properties(${folder}/${name}.cpp PROPERTIES
    OBJECT_DEPENDS "${depends}" SKIP_UNITY_BUILD_INCLUSION ON)
  target_sources(${target} PRIVATE ${folder}/${name}.cpp)
endfunction()
set(MIEN_EMBED_DIR ${CMAKE_CURRENT_LIST_DIR})
