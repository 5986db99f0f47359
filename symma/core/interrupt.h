// Being asked to stop: from a signal's handler to whoever works long.
//
// Work that takes a while asks `check_interrupted` between its pieces (parallel_for does it for all of them).
// Where nothing is lost by giving up, it throws at once; else when the piece of work at hand has not ended
// for kPatience; where others wait for it, not at all.
#pragma once

#include <exception>

namespace symma {

// Work was given up in the middle.
class Interrupted : public std::exception {
 public:
  const char* what() const noexcept override { return "interrupted"; }
};

inline constexpr double kPatience = 5;  // seconds

void ask_to_stop() noexcept;  // may be called in a signal's handler
void check_interrupted();     // throws Interrupted

// While one lives, being asked to stop gives up at once.
class Expendable {
 public:
  explicit Expendable(bool yes = true) noexcept;
  ~Expendable();
  Expendable(const Expendable&) = delete;
  Expendable& operator=(const Expendable&) = delete;

 private:
  int by_;
};

// While one lives, work is not given up in the middle: others wait for it.
class Steadfast {
 public:
  Steadfast() noexcept;
  ~Steadfast();
  Steadfast(const Steadfast&) = delete;
  Steadfast& operator=(const Steadfast&) = delete;
};

}  // namespace symma
