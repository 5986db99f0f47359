// The communication graph as inline SVG: agents on a circle, or on a grid where the edges are a torus's, the
// server in the middle; an edge's width and label are the traffic on it.
#pragma once

#include <string>

#include "symma/report/run.h"

namespace symma {

std::string graph_svg(const Run& run);

// [nodes][nodes] mixing weights as a small shaded table; "" where there are none, or too many to read.
std::string weights_table(const Run& run);

}  // namespace symma
