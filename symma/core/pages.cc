#include "symma/core/pages.h"

#include <malloc.h>

#include <climits>

namespace symma {

void keep_pages() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
#endif
}

}  // namespace symma
