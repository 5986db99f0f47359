// A virtual patient with type 1 diabetes: thirteen states, by the minute. UVa/Padova simulator of 2008
// (Kovatchev et al. 2009; Dalla Man, Rizza and Cobelli 2007) as simglucose 0.2.11 has it.
//
// Glucose goes stomach (x1 solid, x2 liquid), gut (x3), plasma (x4) and tissue (x5), in mg/kg; insulin below
// the skin (x11, x12), plasma (x6), liver (x10), in pmol/kg; x7 is insulin's action on uptake, x8 and x9 the
// delay of its action on production, x13 is glucose below the skin, which sensors see.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "symma/core/rng.h"

namespace symma {

// Constants of one patient, by their names in patients.csv.
struct Patient {
  std::string name;
  std::array<double, 13> start;  // x at midnight, at rest
  double BW, Ib, kabs, kmax, kmin, b, d, Vg, Vi, Vmx, Km0, k2, k1, p2u, m1, m2, m4, m30, ki, kp1, kp2, kp3, f,
      ke1, ke2, Fsnc, Vm0, kd, ksc, ka1, ka2, u2ss;
  double ratio, factor;  // g of carbohydrate, and mg/dl, for one unit: the clinic's CR and CF

  double basal() const { return u2ss * BW / 6000; }  // U/min that keep the patient at rest
};

// What changes in a patient.
struct Body {
  std::array<double, 13> x{};
  double planned = 0;            // g that were announced and not yet eaten
  double before = 0, eaten = 0;  // mg in the stomach when this meal began, and g eaten since
  bool eating = false;           // in the minute before
};

// mg/dl below the skin.
inline double glucose(const Patient& p, const Body& body) {
  return body.x[12] / p.Vg;
}

// One minute with `insulin` U/min; `meal` g are announced at its start, and eaten at 5 g/min. RK4 in steps of
// 15 s: within .0042 mg/dl of steps half as long, over a day.
void live_a_minute(const Patient&, Body&, double meal, double insulin);

// Risk of Kovatchev et al. 1997, as simglucose has it: of lows and highs, 100 beyond 20 to 600 mg/dl.
double glucose_risk(double mg_dl);

// The patients of a folder with patients.csv and clinic.csv, or of one file of the former kind whose columns
// CR and CF may stand in it too. Read once a process. Throws UserError that names line and column.
std::shared_ptr<const std::vector<Patient>> read_patients(const std::string& path);

// A patient nobody has: constants drawn around those of an adult, at rest.
Patient made_up_patient(Rng);

}  // namespace symma
