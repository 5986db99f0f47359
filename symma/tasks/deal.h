// How a finite set of items (groups of rows, classes, alphabets) is split and dealt to agents.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace symma {

struct Parts {
  std::vector<int64_t> train, validation, test;
};

// What of the items is kept apart. A part that is named in another way (a file of its own, a list of names)
// has no fraction.
struct Fractions {
  std::optional<double> validation, test;
};

// Items cut into three parts. Nobody is judged on what he learns from: each part that has a fraction gets
// items of its own, at least one. `part_items` shuffles them first, in an order that `name` alone decides;
// `part_in_order` takes the last for the test and those before them for validation. Throws UserError where a
// fraction is 0 or the items are too few; `have` says what there is, as in "t.csv has 2 groups". Another
// `key` is another shuffle.
Parts part_items(const std::vector<int64_t>& items, const Fractions&, const std::string& name,
                 const std::string& have, int64_t key = 0);
Parts part_in_order(const std::vector<int64_t>& items, const Fractions&, const std::string& have);

// Cross-validation: of `folds` parts of the shuffled items, as equal as can be, number `fold` is the test;
// validation is a fraction of the others.
Parts fold_items(const std::vector<int64_t>& items, int64_t folds, int64_t fold, double validation,
                 const std::string& name, const std::string& have, int64_t key = 0);

// Items in turn to the agents 0, 1, ... Throws UserError("have too few", ...) where an agent would get none;
// `have` says what there is.
std::vector<std::vector<int64_t>> deal_items(const std::vector<int64_t>& items, int64_t agents,
                                             const std::string& have);

// Unequal data: the share of each of `parts` parts in what each agent draws, from a Dirichlet distribution
// with the given concentration: small, and an agent has little but one part; large, and all have the same.
// Hsu, Qi, Brown 2019, arXiv:1909.06335.
std::vector<std::vector<double>> dirichlet_shares(int64_t agents, int64_t parts, double concentration);

}  // namespace symma
