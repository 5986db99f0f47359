# Presets compile through ccache where it is installed. Paths inside the source folder are made relative, so that clones of
# one tree share what was compiled.
find_program(SYMMA_CCACHE ccache)
if(SYMMA_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${SYMMA_CCACHE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-fpch-preprocess)  # or ccache could not tell which precompiled header a file was compiled with
  endif()
endif()
