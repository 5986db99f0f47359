#include "symma/envs/clinic/patient.h"

#include <algorithm>
#include <cmath>

namespace symma {
namespace {

constexpr double kEats = 5;  // g/min
constexpr int kSteps = 4;    // a minute

// What is the same for all of a minute.
struct Minute {
  double d, u;          // mg/min eaten; pmol/kg/min below the skin
  double a, c, ab, cd;  // of the stomach's emptying: tanh(a q - ab), tanh(c q - cd)
  bool full;
};

void derivative(const Patient& p, const Minute& m, const double* x, double* dx) {
  const double q = x[0] + x[1];
  const double gut =
      m.full ? p.kmin + (p.kmax - p.kmin) / 2 * (std::tanh(m.a * q - m.ab) - std::tanh(m.c * q - m.cd) + 2)
             : p.kmax;
  dx[0] = -p.kmax * x[0] + m.d;
  dx[1] = p.kmax * x[0] - gut * x[1];
  dx[2] = gut * x[1] - p.kabs * x[2];
  const double appears = p.f * p.kabs * x[2] / p.BW;
  const double made = std::max(p.kp1 - p.kp2 * x[3] - p.kp3 * x[8], 0.0);
  const double excreted = x[3] > p.ke2 ? p.ke1 * (x[3] - p.ke2) : 0;
  const double insulin = x[5] / p.Vi;
  // Masses do not fall below nothing.
  const auto held = [&](int i, double rate) { dx[i] = x[i] >= 0 ? rate : 0; };
  held(3, made + appears - p.Fsnc - excreted - p.k1 * x[3] + p.k2 * x[4]);
  held(4, -(p.Vm0 + p.Vmx * x[6]) * x[4] / (p.Km0 + x[4]) + p.k1 * x[3] - p.k2 * x[4]);
  held(5, -(p.m2 + p.m4) * x[5] + p.m1 * x[9] + p.ka1 * x[10] + p.ka2 * x[11]);
  dx[6] = p.p2u * (insulin - p.Ib - x[6]);
  dx[7] = -p.ki * (x[7] - insulin);
  dx[8] = -p.ki * (x[8] - x[7]);
  held(9, -(p.m1 + p.m30) * x[9] + p.m2 * x[5]);
  held(10, m.u - (p.ka1 + p.kd) * x[10]);
  held(11, p.kd * x[10] - p.ka2 * x[11]);
  held(12, -p.ksc * (x[12] - x[3]));
}

}  // namespace

void live_a_minute(const Patient& p, Body& body, double meal, double insulin) {
  body.planned += meal;
  const double eats = std::min(kEats, body.planned);
  body.planned -= eats;
  // A meal begins where eating follows a pause; what is still in the stomach counts to it.
  if (eats > 0 && !body.eating) body.before = body.x[0] + body.x[1], body.eaten = 0;
  if (eats > 0) body.eaten += eats;
  body.eating = eats > 0;

  const double whole = body.before + 1000 * body.eaten;  // mg
  Minute m{1000 * eats, insulin * 6000 / p.BW, 0, 0, 0, 0, whole > 0};
  if (m.full) {
    m.a = 5 / (2 * whole * (1 - p.b)), m.c = 5 / (2 * whole * p.d);
    m.ab = m.a * p.b * whole, m.cd = m.c * p.d * whole;
  }
  constexpr double h = 1.0 / kSteps;
  double* x = body.x.data();
  for (int s = 0; s < kSteps; ++s) {
    double k1[13], k2[13], k3[13], k4[13], at[13];
    derivative(p, m, x, k1);
    for (int i = 0; i < 13; ++i) at[i] = x[i] + h / 2 * k1[i];
    derivative(p, m, at, k2);
    for (int i = 0; i < 13; ++i) at[i] = x[i] + h / 2 * k2[i];
    derivative(p, m, at, k3);
    for (int i = 0; i < 13; ++i) at[i] = x[i] + h * k3[i];
    derivative(p, m, at, k4);
    for (int i = 0; i < 13; ++i) x[i] += h / 6 * (k1[i] + 2 * (k2[i] + k3[i]) + k4[i]);
  }
}

double glucose_risk(double mg_dl) {
  if (mg_dl < 20 || mg_dl > 600) return 100;
  const double u = 1.509 * (std::pow(std::log(mg_dl), 1.084) - 5.381);
  return 10 * u * u;
}

}  // namespace symma
