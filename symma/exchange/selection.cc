#include "symma/exchange/selection.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "symma/exchange/rows.h"

namespace symma {
namespace {

// Searches for at most k vertices that touch every edge. Exponential in k alone: a vertex of highest degree
// is in the cover, or all its neighbours are (Cygan et al. 2015, "Parameterized algorithms", 3.1).
bool cover(std::vector<std::vector<char>>& edge, std::vector<char>& gone, int64_t k) {
  const auto n = static_cast<int64_t>(gone.size());
  int64_t top = -1, most = 0, edges = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (gone[i]) continue;
    int64_t degree = 0;
    for (int64_t j = 0; j < n; ++j) degree += !gone[j] && edge[i][j];
    edges += degree;
    if (degree > most) most = degree, top = i;
  }
  edges /= 2;
  if (edges == 0) return true;
  if (k <= 0 || edges > k * most) return false;
  gone[top] = 1;
  if (cover(edge, gone, k - 1)) return true;
  gone[top] = 0;
  if (most > k) return false;
  std::vector<int64_t> around;
  for (int64_t j = 0; j < n; ++j)
    if (!gone[j] && edge[top][j]) around.push_back(j);
  for (int64_t j : around) gone[j] = 1;
  if (cover(edge, gone, k - most)) return true;
  for (int64_t j : around) gone[j] = 0;
  return false;
}

}  // namespace

std::vector<double> neighbour_scores(const Tensor& distances, int64_t neighbours) {
  const int64_t n = distances.size(0);
  const double* d = distances.data_ptr<double>();
  std::vector<double> scores(n);
  for (int64_t i = 0; i < n; ++i) {
    std::vector<double> others;
    for (int64_t j = 0; j < n; ++j)
      if (j != i) others.push_back(d[i * n + j]);
    std::sort(others.begin(), others.end());
    for (int64_t j = 0; j < std::min<int64_t>(neighbours, n - 1); ++j) scores[i] += others[j];
    if (!std::isfinite(d[i * n + i])) scores[i] = d[i * n + i];
  }
  return scores;
}

std::vector<int64_t> least_diameter(const Tensor& distances, int64_t keep) {
  const int64_t n = distances.size(0);
  // Farthest from all others first, so that of several sets the choice does not hang on the order of the
  // rows.
  std::vector<int64_t> order = ascending(neighbour_scores(distances, n - 1));
  std::reverse(order.begin(), order.end());
  const auto index = at::tensor(order);
  const Tensor reordered = distances.index_select(0, index).index_select(1, index).contiguous();
  const double* d = reordered.data_ptr<double>();
  // The diameter is one of the distances: halve the list of them until the least that leaves a cover is
  // found.
  const std::set<double> distinct(d, d + n * n);
  const std::vector<double> radii(distinct.begin(), distinct.end());
  const auto removed = [&](double radius, std::vector<char>& gone) {
    std::vector<std::vector<char>> edge(n, std::vector<char>(n, 0));
    gone.assign(n, 0);
    int64_t left = n - keep;
    for (int64_t i = 0; i < n; ++i) {
      // A row that is not finite has no place in any set.
      if (!(d[i * n + i] <= radius)) gone[i] = 1, --left;
      for (int64_t j = 0; j < n; ++j) edge[i][j] = i != j && !(d[i * n + j] <= radius);
    }
    return left >= 0 && cover(edge, gone, left);
  };
  std::vector<char> gone, best(n, 0);
  size_t low = 0, high = radii.size() - 1;
  removed(radii[high], best);
  while (low < high) {
    const size_t mid = (low + high) / 2;
    if (removed(radii[mid], gone)) {
      best = gone;
      high = mid;
    } else {
      low = mid + 1;
    }
  }
  std::vector<int64_t> kept;
  for (int64_t i = n - 1; i >= 0 && static_cast<int64_t>(kept.size()) < keep; --i)
    if (!best[i]) kept.push_back(order[i]);
  std::sort(kept.begin(), kept.end());
  return kept;
}

}  // namespace symma
