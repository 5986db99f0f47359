// A function compiled for several processors, of which the loader picks one.
#pragma once

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SYMMA_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SYMMA_CLONES  // the resolver of clones runs before a sanitizer is ready
#endif
