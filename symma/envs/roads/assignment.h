// Where traffic settles, and where it would do best.
//
// The user equilibrium (Wardrop 1952): nobody has a faster route. The system optimum: the sum of all times
// is least, which is the equilibrium of those who pay for the time that they cost others, t'(x) x.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "symma/envs/roads/network.h"

namespace symma {

enum class Aim { kEquilibrium, kOptimum };

struct Assignment {
  std::vector<double> flow;  // [links]
  double total = 0;          // sum over links of flow times time
  double beckmann = 0;       // sum over links of the integral of time up to the flow, which an equilibrium
                             // makes least
  double gap = 0;            // relative: how much of the cost would go if all took the cheapest routes
  std::vector<std::vector<std::pair<Route, double>>> routes;  // [trips], with the flow on each
};

// Gradient projection on the flows of routes (Jayakrishnan et al. 1994), new routes by shortest paths, until
// the relative gap is below `gap`. With `only`, [trips], from those routes alone.
Assignment assign(const RoadNetwork&, Aim, double gap = 1e-13,
                  const std::vector<std::vector<Route>>* only = nullptr);

// Sum over links of flow times time.
double total_time(const RoadNetwork&, const std::vector<double>& flow);

}  // namespace symma
