// Attacks: what a hostile agent sends in place of its row. Pure: the same scene and key give the same row, so
// a run under attack is repeatable.
#pragma once

#include "symma/core/registry.h"
#include "symma/core/rng.h"
#include "symma/core/tensor.h"

namespace symma {

// What an attacker knows: by custom, everything.
struct Scene {
  Tensor honest;  // [h, P], the rows of the honest agents whom the message will be mixed with; h may be 0
  Tensor own;     // [P], what the attacker would send if it were honest
  int64_t agents = 0;  // how many rows are aggregated, the bad ones among them
  int64_t bad = 0;     // how many of those are hostile
  Tensor first = {};   // [P], what the attacker would have sent when it first spoke; undefined: then is now
};

class Attack {
 public:
  virtual ~Attack() = default;
  // [P], in the type of `own`; undefined where nothing is sent.
  virtual Tensor send(const Scene&, Rng) const = 0;
};

// Optional: an attack on what the agent learns from, its tasks, whose labels are turned around.
class PoisonsLabels {
 public:
  virtual ~PoisonsLabels() = default;
};

using AttackRegistry = Registry<Attack>;

// The honest rows, or the attacker's own as the only one where it sees none. [h, P], h >= 1.
Tensor seen(const Scene&);

// The z below which a normal value lies with chance p, 0 < p < 1.
double normal_quantile(double p);

}  // namespace symma
