// Whether memory that is let go of is there for what comes next.
#include "symma/core/pages.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>

#include <cstdlib>
#include <cstring>

namespace symma {
namespace {

long faults() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return used.ru_minflt;
}

// Pages that the system had to hand out for ten pieces of 100 MB, one after another.
long pages_of_ten() {
  constexpr size_t kBytes = 100 << 20;
  const long before = faults();
  for (int k = 0; k < 10; ++k) {
    void* piece = std::malloc(kBytes);
    std::memset(piece, k, kBytes);
    asm volatile("" : : "r"(piece) : "memory");
    std::free(piece);
  }
  return faults() - before;
}

TEST(Pages, AreHandedOutOnce) {
#if !defined(__GLIBC__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "another allocator";
#endif
  const long each_time = pages_of_ten();
  keep_pages();
  const long once = pages_of_ten();
  EXPECT_GT(once, 0);
  EXPECT_LT(5 * once, each_time) << once << " of " << each_time;
  EXPECT_LT(100 * pages_of_ten(), each_time);
}

}  // namespace
}  // namespace symma
