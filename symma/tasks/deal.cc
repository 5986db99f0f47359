#include "symma/tasks/deal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "symma/core/errors.h"
#include "symma/core/gamma.h"
#include "symma/core/rng.h"

namespace symma {
namespace {

// How many of n items go to validation and to the test.
std::pair<int64_t, int64_t> counts(int64_t n, const Fractions& f, const std::string& have) {
  int64_t parts = 1;
  const auto count = [&](const std::optional<double>& fraction, const char* key, const char* what) {
    if (!fraction) return int64_t{0};
    if (*fraction <= 0)
      throw UserError(std::string("[task] ") + key, fmt::format("is {}, and {} of its own", *fraction, what),
                      "set it above 0, such as 0.1");
    ++parts;
    return std::max<int64_t>(1, std::llround(*fraction * static_cast<double>(n)));
  };
  const int64_t validation = count(f.validation, "validation_fraction", "validation is of tasks"),
                test = count(f.test, "test_fraction", "the test is of tasks");
  const std::string keys = f.validation && f.test ? "[task] validation_fraction, test_fraction"
                           : f.test               ? "[task] test_fraction"
                                                  : "[task] validation_fraction";
  if (n < parts)
    throw UserError(keys,
                    fmt::format("{}, and training{}{} need one each at least", have,
                                f.validation ? ", validation" : "", f.test ? " and test" : ""),
                    fmt::format("give {} or more, or name the test in a file of its own (test_path)", parts));
  if (validation + test >= n)
    throw UserError(keys, fmt::format("keep {} and {} apart, but {}", validation, test, have),
                    "lower them, so that some are left to train on");
  return {validation, test};
}

// The split is part of the data's definition, so it has keys of its own and not the run's seed.
std::vector<int64_t> shuffled(const std::vector<int64_t>& items, const std::string& name, int64_t key) {
  const Rng named = Rng(0).split("split").split(name);
  Draws draws(key == 0 ? named : named.split("key", static_cast<uint64_t>(key)));
  std::vector<int64_t> out;
  for (const int64_t i : draws.permutation(static_cast<int64_t>(items.size()))) out.push_back(items[i]);
  std::reverse(out.begin(), out.end());
  return out;
}

Parts tidy(Parts parts) {
  for (auto* part : {&parts.train, &parts.validation, &parts.test}) std::sort(part->begin(), part->end());
  return parts;
}

}  // namespace

Parts part_in_order(const std::vector<int64_t>& items, const Fractions& fractions, const std::string& have) {
  const auto n = static_cast<int64_t>(items.size());
  const auto [validation, test] = counts(n, fractions, have);
  const auto first_test = items.end() - test, first_validation = first_test - validation;
  return {{items.begin(), first_validation}, {first_validation, first_test}, {first_test, items.end()}};
}

Parts part_items(const std::vector<int64_t>& items, const Fractions& fractions, const std::string& name,
                 const std::string& have, int64_t key) {
  return tidy(part_in_order(shuffled(items, name, key), fractions, have));
}

Parts fold_items(const std::vector<int64_t>& items, int64_t folds, int64_t fold, double validation,
                 const std::string& name, const std::string& have, int64_t key) {
  const std::vector<int64_t> all = shuffled(items, name, key);
  const auto n = static_cast<int64_t>(all.size());
  if (folds < 2 || folds > n)
    throw UserError("[task] folds", fmt::format("is {}, and {}", folds, have),
                    n < 2 ? "give more of them" : fmt::format("set it to 2 to {}", n));
  const auto begin = all.begin() + fold * n / folds, end = all.begin() + (fold + 1) * n / folds;
  std::vector<int64_t> rest(all.begin(), begin);
  rest.insert(rest.end(), end, all.end());
  Parts parts = part_in_order(rest, {validation, std::nullopt},
                              fmt::format("{}, {} of them outside fold {}", have, rest.size(), fold));
  parts.test.assign(begin, end);
  return tidy(std::move(parts));
}

std::vector<std::vector<int64_t>> deal_items(const std::vector<int64_t>& items, int64_t agents,
                                             const std::string& have) {
  if (static_cast<int64_t>(items.size()) < agents) {
    throw UserError("agents", fmt::format("{} agents, but {}", agents, have),
                    fmt::format("use at most {} agents, or deal smaller pieces", items.size()));
  }
  std::vector<std::vector<int64_t>> hands(agents);
  for (size_t i = 0; i < items.size(); ++i) hands[i % agents].push_back(items[i]);
  return hands;
}

std::vector<std::vector<double>> dirichlet_shares(int64_t agents, int64_t parts, double concentration) {
  std::vector<std::vector<double>> out(agents, std::vector<double>(parts));
  for (int64_t a = 0; a < agents; ++a) {
    // As with splits, what agents hold is part of the data's definition.
    Draws d(Rng(0).split("dirichlet", static_cast<uint64_t>(a)));
    for (double& x : out[a]) x = log_gamma_variate(d, concentration);
    const double most = *std::max_element(out[a].begin(), out[a].end());
    double sum = 0;
    for (double& x : out[a]) sum += x = std::exp(x - most);
    for (double& x : out[a]) x /= sum;
  }
  return out;
}

}  // namespace symma
