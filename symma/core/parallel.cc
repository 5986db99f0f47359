#include "symma/core/parallel.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <latch>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "symma/core/cores.h"
#include "symma/core/interrupt.h"

namespace symma {
namespace {

// One parallel_for in progress. Pieces are taken by an atomic counter; which thread takes which does not
// matter.
struct Job {
  int64_t n, grain, pieces;
  const std::function<void(int64_t, int64_t)>* work;
  std::atomic<int64_t> next{0};
  std::atomic<int64_t> done{0};
  std::mutex mutex;
  std::exception_ptr error;

  void run() {
    for (int64_t i; (i = next.fetch_add(1)) < pieces;) {
      try {
        check_interrupted();
        (*work)(i * grain, std::min(n, (i + 1) * grain));
      } catch (...) {
        std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
      }
      done.fetch_add(1, std::memory_order_release);
    }
  }
};

thread_local bool inside = false;

// OpenBLAS splits a product over threads in ways that change its rounding. It is found at run time, since
// libtorch may be linked to another BLAS.
void make_operations_serial() {
  at::set_num_threads(1);
  using SetThreads = void (*)(int);
  if (auto set = reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))) set(1);
}

// Threads begin with the first job, and all of them have begun before it does: one that is still setting
// itself up while the process ends would lock what libtorch has taken down by then, for ever.
class Pool {
 public:
  explicit Pool(int threads) : threads_(threads), ready_(threads - 1) { make_operations_serial(); }
  ~Pool() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
      epoch_.fetch_add(1);
    }
    wake_.notify_all();
    for (auto& w : workers_) w.join();
  }
  int threads() const { return threads_; }

  void run(const std::shared_ptr<Job>& job) {
    std::call_once(started_, [this] {
      for (int i = 1; i < threads_; ++i)
        workers_.emplace_back([this] {
          make_operations_serial();
          ready_.count_down();
          serve();
        });
      ready_.wait();
    });
    {
      std::lock_guard lock(mutex_);
      job_ = job;
      epoch_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    inside = true;
    job->run();
    inside = false;
    while (job->done.load(std::memory_order_acquire) < job->pieces) std::this_thread::yield();
    std::lock_guard lock(mutex_);
    job_.reset();
  }

 private:
  void serve() {
    inside = true;
    uint64_t seen = 0;
    for (;;) {
      // Small jobs follow each other within microseconds, less than waking from a condition takes: look a
      // while.
      for (int spin = 0; spin < 2000 && epoch_.load(std::memory_order_acquire) == seen; ++spin) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
      }
      std::shared_ptr<Job> job;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return epoch_.load() != seen; });
        seen = epoch_.load();
        if (stop_) return;
        job = job_;
      }
      if (job) job->run();
    }
  }

  const int threads_;
  std::once_flag started_;
  std::latch ready_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> epoch_{0};
  std::shared_ptr<Job> job_;
  bool stop_ = false;
};

// The pool of all who ask for it, whichever of them comes first. Who works in it holds it, so that another
// may take its place meanwhile.
struct Kept {
  std::mutex mutex;
  int wanted = usable_cores();
  std::shared_ptr<Pool> pool;

  const std::shared_ptr<Pool>& made() {
    if (!pool) pool = std::make_shared<Pool>(wanted);
    return pool;
  }
};

// A process that was forked has none of the threads of its parent. It leaves their pool alone, for a lock of
// it may be held for ever and there is nobody to join, and makes one of its own when it first needs it.
Kept& kept() {
  static Kept k;
  static const int forks = pthread_atfork([] { kept().mutex.lock(); }, [] { kept().mutex.unlock(); },
                                          [] {
                                            Kept& here = kept();
                                            (void)new std::shared_ptr<Pool>(std::move(here.pool));
                                            inside = false;
                                            here.mutex.unlock();
                                          });
  (void)forks;
  return k;
}

std::shared_ptr<Pool> pool() {
  Kept& k = kept();
  const std::lock_guard lock(k.mutex);
  return k.made();
}

}  // namespace

void set_threads(int threads) {
  if (threads <= 0) threads = usable_cores();
  Kept& k = kept();
  std::shared_ptr<Pool> before;  // ends once the lock is let go of
  const std::lock_guard lock(k.mutex);
  if (k.pool && k.wanted == threads) return;
  before = std::exchange(k.pool, std::make_shared<Pool>(threads));
  k.wanted = threads;
}

int threads() {
  Kept& k = kept();
  const std::lock_guard lock(k.mutex);
  return k.made()->threads();
}

void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t)>& work) {
  if (n <= 0) return;
  grain = std::max<int64_t>(1, grain);
  const int64_t pieces = (n + grain - 1) / grain;
  const std::shared_ptr<Pool> mine = pieces == 1 || inside ? nullptr : pool();
  if (!mine || mine->threads() == 1) {
    for (int64_t i = 0; i < pieces; ++i) {
      check_interrupted();
      work(i * grain, std::min(n, (i + 1) * grain));
    }
    return;
  }
  auto job = std::make_shared<Job>();
  job->n = n;
  job->grain = grain;
  job->pieces = pieces;
  job->work = &work;
  mine->run(job);
  if (job->error) std::rethrow_exception(job->error);
}

}  // namespace symma
