// What a dispatching rule may look at.
#pragma once

#include <cstdint>

namespace symma {

class AssemblyView {
 public:
  virtual ~AssemblyView() = default;
  // The job that a machine's action begins; -1 for waiting.
  virtual int64_t job_of(int64_t copy, int64_t machine, int64_t action) const = 0;
  // Of its next operation: how long it takes, as planned, or as replanned.
  virtual double expected(int64_t copy, int64_t job) const = 0;
  virtual double work(int64_t copy, int64_t job) const = 0;   // the same of all that is not begun
  virtual double since(int64_t copy, int64_t job) const = 0;  // when its next operation began to wait
};

}  // namespace symma
