// Aggregation: many rows into one, of which some may be wrong by fault or by intent.
//
// A server aggregates what its agents sent; in a graph each node aggregates its own row and its neighbours'.
// Rules are pure: they see rows, how many of them may be bad, and, where there is one, the value to start
// from.
#pragma once

#include <string>

#include "symma/core/registry.h"
#include "symma/core/rng.h"
#include "symma/core/tensor.h"

namespace symma {

struct Inputs {
  Tensor rows;      // [n, P], float or double
  int64_t bad = 0;  // at most so many of the rows are hostile or broken
  Tensor centre;    // [P] or undefined: a node's own row, or what the last round gave; some rules start there
};

// What holds of a rule by its definition. The conformance suite tests each for what it says here.
struct Laws {
  bool robust = true;       // up to `bad` rows, whatever they hold, move the result by a bounded amount
  bool translation = true;  // rows + t gives the result + t (the centre moved as well)
  bool scale = true;        // s rows gives s times the result
  bool permutation = true;  // the order of the rows does not matter
  bool needs_rows = true;   // false: the sum of the rows is enough, so it works under secure aggregation
};

class Aggregator {
 public:
  virtual ~Aggregator() = default;
  virtual Laws laws() const = 0;
  virtual int64_t most_bad(int64_t n) const = 0;         // how many bad rows among n the rule can bear
  virtual Tensor combine(const Inputs&, Rng) const = 0;  // [P]; called by `aggregate`
};

using AggregatorRegistry = Registry<Aggregator>;

// What is done to rows before they are aggregated: rows in, rows out.
class PreAggregator {
 public:
  virtual ~PreAggregator() = default;
  virtual int64_t most_bad(int64_t n) const = 0;
  virtual Inputs prepare(const Inputs&, Rng) const = 0;  // rows [m, P], and how many of those may be bad
};

using PreAggregatorRegistry = Registry<PreAggregator>;

// The rule's result, [P]. Throws UserError at `place` where more rows are bad than the rule can bear.
Tensor aggregate(const Aggregator&, const Inputs&, Rng, const std::string& place = "exchange");
Inputs prepare(const PreAggregator&, const Inputs&, Rng, const std::string& place = "exchange");

// Throws UserError unless 0 <= bad <= most. For reading a file: `n` is then the least number of rows a node
// sees.
void check_bad(const std::string& place, int64_t bad, int64_t n, int64_t most);

}  // namespace symma
