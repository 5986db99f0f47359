#include "symma/envs/clinic/ward.h"

#include <algorithm>
#include <cmath>

#include "symma/envs/clinic/patient.h"

namespace symma {

DayMeals fixed_meals() {
  return {{7 * 60, 12 * 60, 16 * 60, 18 * 60, 23 * 60, 0}, {45, 70, 15, 80, 10, 0}};
}

DayMeals random_meals(Rng day) {
  constexpr std::array<double, 6> chance{.95, .3, .95, .3, .95, .3}, at{7, 9.5, 12, 15, 18, 21.5},
      spread{60, 30, 60, 30, 60, 30}, first{5, 9, 10, 14, 16, 20}, last{9, 10, 14, 16, 20, 23},
      grams{45, 10, 70, 10, 80, 10}, give{10, 5, 10, 5, 10, 5};
  DayMeals out;
  Draws d(day);
  for (size_t k = 0; k < 6; ++k) {
    if (d.uniform() >= chance[k]) continue;
    double minute = 0;
    do minute = std::round(60 * at[k] + spread[k] * d.normal());  // truncated, by drawing again
    while (minute < 60 * first[k] || minute > 60 * last[k]);
    out.minute[k] = minute;
    out.grams[k] = std::max(0.0, std::round(grams[k] + give[k] * d.normal()));
  }
  return out;
}

double pumped(double rate) {
  constexpr double kStep = 1.0 / 120000;
  return std::clamp(std::nearbyint(rate / kStep) * kStep, 0.0, 30.0);
}

double SensorNoise::next(Rng episode) {
  const auto draw = [&] {
    Draws d(episode.split("sensor", static_cast<uint64_t>(drawn)));
    e = drawn++ == 0 ? d.normal() : 0.7 * (e + d.normal());
    std::rotate(knots.begin(), knots.begin() + 1, knots.end());
    knots[3] = -5.47 + 15.9574 * std::sinh((e + 0.5444) / 1.6898);
  };
  if (drawn == 0) {
    for (int k = 0; k < 4; ++k) draw();
  } else if (++reading == 5) {
    reading = 0;
    draw();
  }
  // Catmull and Rom's cubic through the knots.
  const double t = static_cast<double>(reading) / 5;
  const auto& [a, b, c, d] = knots;
  return b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
}

void Course::add(double mg_dl, double times) {
  steps += times;
  within += mg_dl >= 70 && mg_dl <= 180 ? times : 0;
  below += mg_dl < 70 ? times : 0;
  above += mg_dl > 180 ? times : 0;
  sum += mg_dl * times;
  risk += glucose_risk(mg_dl) * times;
}

}  // namespace symma
