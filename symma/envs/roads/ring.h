// Uniform flow on a ring, and what a script of it may look at.
#pragma once

#include <cstdint>

namespace symma {

// The speed at which n cars of 5 m and IDM drivers of time gap T roll evenly around a ring of L m, m/s: the
// root of (L - 5 n) / gaps = (2 + v T) / sqrt(1 - (v / 30)^4). `gaps` is n; with an automated car, which
// needs none, n - 1. 0 where the ring is too short.
double uniform_speed(double length, int64_t cars, double time_gap, int64_t gaps);

class RingView {
 public:
  virtual ~RingView() = default;
  virtual double speed(int64_t copy, int64_t agent) const = 0;   // m/s
  virtual double leader(int64_t copy, int64_t agent) const = 0;  // speed of the car ahead, m/s
  virtual double gap(int64_t copy, int64_t agent) const = 0;     // to its rear, m
  virtual double even(int64_t copy) const = 0;                   // the uniform speed of the copy's ring
  virtual double human(int64_t copy, int64_t agent) const = 0;   // what a human driver would do here, m/s^2
  virtual double held() const = 0;                               // seconds that a number is held
};

}  // namespace symma
