#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <thread>
#include <vector>

#include "symma/core/parallel.h"

namespace symma {
namespace {

std::ptrdiff_t threads_of_this_process() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
}

// A thread that still sets itself up while its process ends waited for ever for a lock of libtorch's, which
// was gone by then: one of some thousand runs of `symma list`.
TEST(Threads, BeginWithTheFirstJobAndNotBefore) {
  const auto before = threads_of_this_process();
  set_threads(4);
  EXPECT_EQ(threads(), 4);
  EXPECT_EQ(threads_of_this_process(), before);
  std::atomic<int64_t> sum = 0;
  parallel_for(100, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sum += i;
  });
  EXPECT_EQ(sum, 4950);
  EXPECT_EQ(threads_of_this_process(), before + 3);
  set_threads(2);
  // Who is waited for has ended before the system takes it off its list.
  for (int k = 0; k < 1000 && threads_of_this_process() != before; ++k)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(threads_of_this_process(), before);
}

// Of two that came first at once each made a pool, and one of them worked in what the other had put away.
TEST(Threads, MayBeAskedForAndChangedBySeveralAtOnce) {
  std::atomic<int64_t> sum = 0;
  std::atomic<int> working = 4;
  std::vector<std::thread> all;
  for (int k = 0; k < 4; ++k)
    all.emplace_back([&] {
      for (int j = 0; j < 3000; ++j) parallel_for(64, 1, [&](int64_t begin, int64_t) { sum += begin; });
      --working;
    });
  for (int k = 0; working > 0; ++k) {
    set_threads(2 + k % 3);
    std::this_thread::yield();
  }
  for (auto& t : all) t.join();
  EXPECT_EQ(sum, int64_t{4} * 3000 * 2016);
}

}  // namespace
}  // namespace symma
