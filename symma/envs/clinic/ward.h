// What lies between a patient and who doses it: meals of the day, a sensor, a pump, and what is counted.
// simglucose 0.2.11.
#pragma once

#include <array>
#include <cstdint>

#include "symma/core/rng.h"

namespace symma {

constexpr int64_t kMinutesADay = 1440, kStepMinutes = 3, kStepsADay = kMinutesADay / kStepMinutes;

// At most six meals, by time; one of 0 g is none.
struct DayMeals {
  std::array<double, 6> minute{}, grams{};
};
DayMeals fixed_meals();          // 45, 70, 15, 80, 10 g at 7, 12, 16, 18, 23 h
DayMeals random_meals(Rng day);  // three meals and three snacks, each taken or not

// U/min as the pump gives it: in steps of .05 pmol/min, from 0 to 30.
double pumped(double rate);

// What a Dexcom adds to each of its readings, one every 3 minutes: a knot every 15, between them a cubic.
struct SensorNoise {
  double e = 0;                    // of the newest knot, before Johnson's transform
  std::array<double, 4> knots{};   // mg/dl; readings lie between the second and the third
  int64_t drawn = 0, reading = 0;  // knots so far; reading within the interval, 0..4
  double next(Rng episode);
};

// Of the steps lived so far, by their mean glucose below the skin.
struct Course {
  double steps = 0, within = 0, below = 0, above = 0, risk = 0, sum = 0;
  void add(double mg_dl, double times = 1);
};

}  // namespace symma
