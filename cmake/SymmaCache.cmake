# Presets compile through ccache where it is installed; it is not needed. Building the same folder again costs little then. A
# clone in another folder finds almost nothing: its units start from a precompiled header of its own.
find_program(SYMMA_CCACHE ccache)
if(SYMMA_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${SYMMA_CCACHE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-fpch-preprocess)  # or ccache could not tell which precompiled header a file was compiled with
  endif()
endif()
