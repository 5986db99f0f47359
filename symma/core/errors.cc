#include "symma/core/errors.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

namespace symma {
namespace {

// Levenshtein's distance, with a swap of neighbours counted as one edit.
size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

UserError::UserError(std::string_view place, std::string_view wrong, std::string_view remedy)
    : std::runtime_error(fmt::format("{}: {}{}{}", place, wrong, remedy.empty() ? "" : "; ", remedy)),
      place_(place),
      wrong_(wrong),
      remedy_(remedy) {}
UserError::UserError(const UserError&) = default;
UserError::~UserError() = default;

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  std::string best;
  if (word.size() > 100) return best;  // no slip of the hand, and the distance takes its length squared
  size_t least = std::max<size_t>(2, word.size() / 2) + 1;
  for (const auto& c : candidates) {
    // Whose last word it is was meant before what looks alike: "inner_steps" by "steps", and not "eps".
    const size_t d = c.ends_with("_" + word) ? 1 : distance(word, c);
    if (d < least) {
      least = d;
      best = c;
    }
  }
  return best;
}

std::string suggestion(const std::string& word, const std::vector<std::string>& candidates) {
  const std::string near = nearest(word, candidates);
  if (!near.empty()) return "did you mean " + near + "?";
  return fmt::format("one of {}", fmt::join(candidates, ", "));
}

}  // namespace symma
