// Threads, in one place.
//
// Results must not depend on the number of threads. So libtorch and BLAS run each operation on one thread
// (`set_threads` sees to that), and parallelism is over rows: pieces of work that are the same pieces, done
// in the same way, however many threads there are.
#pragma once

#include <cstdint>
#include <functional>

namespace symma {

// How many threads `parallel_for` uses from now on, the one that calls it counted; 0 means all it may use.
// Also makes libtorch and OpenBLAS single-threaded within an operation.
void set_threads(int threads);
int threads();

// From any thread, several at a time. Calls work(begin, end) for the pieces [0,grain), [grain,2 grain) ... of
// [0, n), on all threads, and waits. Within a piece a nested parallel_for runs serially. The first exception
// thrown by a piece is rethrown here.
void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t begin, int64_t end)>& work);

}  // namespace symma
