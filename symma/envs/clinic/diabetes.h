// What a script of the clinic may look at.
#pragma once

#include <cstdint>

#include "symma/envs/clinic/patient.h"

namespace symma {

class ClinicView {
 public:
  virtual ~ClinicView() = default;
  virtual const Patient& patient(int64_t copy) const = 0;
  virtual double announced(int64_t copy) const = 0;  // g, in the step just lived
  virtual double sensed(int64_t copy) const = 0;     // mg/dl, in the step just lived
  // The numbers to set for basal insulin as the patient needs it at rest, and a bolus of so many units.
  virtual void set(int64_t copy, double bolus, float* numbers) const = 0;
  virtual int64_t numbers() const = 0;  // that a player sets
};

}  // namespace symma
