# libtorch as one target, symma_torch. Debian's package and the official archives both ship a Torch
# config; Debian's drags in Caffe2's whole list of packages, so the few files needed are looked up
# directly, in CMAKE_PREFIX_PATH first. A torch of Python's is a prefix too: the folder of the package, or
# what torch.utils.cmake_prefix_path says, which lies two folders further down. `pip install .` takes the
# torch of pip's Python.
set(torch_asked "")
foreach(prefix ${CMAKE_PREFIX_PATH})
  string(REGEX REPLACE "/share/cmake/?$" "" prefix "${prefix}")
  if(EXISTS ${prefix}/include/ATen/ATen.h)
    list(APPEND torch_asked ${prefix})
  endif()
endforeach()
if(SKBUILD AND NOT torch_asked)
  execute_process(COMMAND ${Python_EXECUTABLE} -c "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
                  OUTPUT_VARIABLE torch_folder OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE missing ERROR_QUIET)
  if(missing)
    message(FATAL_ERROR "${Python_EXECUTABLE} has no torch: install the one that symma is to be built against, and use pip install --no-build-isolation")
  endif()
  if(EXISTS ${torch_folder}/include/ATen/ATen.h)  # Debian's has its headers where the system's are
    set(torch_asked ${torch_folder})
  endif()
endif()
find_path(SYMMA_TORCH_INCLUDE NAMES ATen/ATen.h HINTS ${torch_asked} PATH_SUFFIXES include REQUIRED)
find_library(SYMMA_TORCH_CPU NAMES torch_cpu HINTS ${torch_asked} PATH_SUFFIXES lib REQUIRED)
get_filename_component(SYMMA_TORCH_LIBRARIES ${SYMMA_TORCH_CPU} DIRECTORY)
find_library(SYMMA_TORCH_C10 NAMES c10 HINTS ${SYMMA_TORCH_LIBRARIES} REQUIRED)
find_library(SYMMA_TORCH_CUDA NAMES torch_cuda HINTS ${SYMMA_TORCH_LIBRARIES})
find_library(SYMMA_TORCH_C10_CUDA NAMES c10_cuda HINTS ${SYMMA_TORCH_LIBRARIES})
foreach(asked ${torch_asked})
  string(FIND ${SYMMA_TORCH_CPU} ${asked}/ at)
  if(NOT at EQUAL 0)
    message(FATAL_ERROR "libtorch of ${asked} was asked for, and ${SYMMA_TORCH_CPU} found: configure in a new folder")
  endif()
endforeach()

add_library(symma_torch INTERFACE)
# torch from PyPI brings headers of a fmt of its own, whose functions are not in the fmt that is linked to.
if(EXISTS ${SYMMA_TORCH_INCLUDE}/fmt AND NOT SYMMA_TORCH_INCLUDE STREQUAL "/usr/include")
  find_path(SYMMA_FMT_INCLUDE NAMES fmt/format.h PATHS /usr/include /usr/local/include NO_DEFAULT_PATH REQUIRED)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/fmt_first)
  file(CREATE_LINK ${SYMMA_FMT_INCLUDE}/fmt ${CMAKE_BINARY_DIR}/fmt_first/fmt SYMBOLIC)
  include_directories(BEFORE ${CMAKE_BINARY_DIR}/fmt_first)
endif()
target_include_directories(symma_torch SYSTEM INTERFACE ${SYMMA_TORCH_INCLUDE})
target_link_libraries(symma_torch INTERFACE ${SYMMA_TORCH_CPU} ${SYMMA_TORCH_C10})
if(SYMMA_TORCH_CUDA)
  # Nothing names a symbol of torch_cuda, yet loading it is what registers the CUDA operators.
  target_link_libraries(symma_torch INTERFACE -Wl,--no-as-needed ${SYMMA_TORCH_CUDA} ${SYMMA_TORCH_C10_CUDA} -Wl,--as-needed)
endif()
message(STATUS "libtorch: ${SYMMA_TORCH_CPU}")
