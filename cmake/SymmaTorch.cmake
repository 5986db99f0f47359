# libtorch as one target, symma_torch. Debian's package and the official archives both ship a Torch
# config; Debian's drags in Caffe2's whole list of packages, so the few files needed are looked up
# directly, in CMAKE_PREFIX_PATH first.
find_path(SYMMA_TORCH_INCLUDE NAMES ATen/ATen.h REQUIRED)
find_library(SYMMA_TORCH_CPU NAMES torch_cpu REQUIRED)
find_library(SYMMA_TORCH_C10 NAMES c10 REQUIRED)
find_library(SYMMA_TORCH_CUDA NAMES torch_cuda)
find_library(SYMMA_TORCH_C10_CUDA NAMES c10_cuda)

add_library(symma_torch INTERFACE)
target_include_directories(symma_torch SYSTEM INTERFACE ${SYMMA_TORCH_INCLUDE})
target_link_libraries(symma_torch INTERFACE ${SYMMA_TORCH_CPU} ${SYMMA_TORCH_C10})
if(SYMMA_TORCH_CUDA)
  # Nothing names a symbol of torch_cuda, yet loading it is what registers the CUDA operators.
  target_link_libraries(symma_torch INTERFACE -Wl,--no-as-needed ${SYMMA_TORCH_CUDA} ${SYMMA_TORCH_C10_CUDA} -Wl,--as-needed)
endif()
message(STATUS "libtorch: ${SYMMA_TORCH_CPU}")
get_filename_component(SYMMA_TORCH_LIBRARIES ${SYMMA_TORCH_CPU} DIRECTORY)
