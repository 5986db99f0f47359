#include "symma/core/interrupt.h"

#include <time.h>

#include <atomic>
#include <cstdint>

namespace symma {
namespace {

std::atomic<int64_t> asked_at{0};  // nanoseconds; 0: not asked
std::atomic<int> expendable{0}, steadfast{0};
static_assert(std::atomic<int64_t>::is_always_lock_free);

// clock_gettime may be called in a signal's handler, std::chrono does not say so.
int64_t now() noexcept {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * int64_t{1000000000} + t.tv_nsec + 1;
}

}  // namespace

void ask_to_stop() noexcept {
  int64_t never = 0;
  asked_at.compare_exchange_strong(never, now());
}

void check_interrupted() {
  const int64_t asked = asked_at.load(std::memory_order_relaxed);
  if (asked == 0 || steadfast.load() > 0) return;
  if (expendable.load() > 0 || static_cast<double>(now() - asked) > kPatience * 1e9) throw Interrupted();
}

Expendable::Expendable(bool yes) noexcept : by_(yes ? 1 : 0) {
  expendable.fetch_add(by_);
}

Expendable::~Expendable() {
  expendable.fetch_sub(by_);
}

Steadfast::Steadfast() noexcept {
  steadfast.fetch_add(1);
}

Steadfast::~Steadfast() {
  steadfast.fetch_sub(1);
}

}  // namespace symma
