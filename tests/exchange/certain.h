// What is certain of an epsilon: a rigorous lower bound, from the exact distributions of one pair of
// neighbouring fleets. Independent of the accountants: outcomes are cut into cells, the loss of a cell is
// taken at its least and rounded down to a grid, and n steps are composed by FFT.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

namespace symma {

// A mixture of normal distributions of deviation 1.
struct Mixture {
  std::vector<std::pair<double, double>> parts;  // weight, mean
  // The chance of [a, b], without cancellation in either tail.
  double between(double a, double b) const {
    double sum = 0;
    for (const auto& [w, m] : parts) {
      const double low = (a - m) / std::sqrt(2.), high = (b - m) / std::sqrt(2.);
      sum += w / 2 * (low > 0 ? std::erfc(low) - std::erfc(high) : std::erfc(-high) - std::erfc(-low));
    }
    return sum;
  }
  double log_density(double x) const {
    double top = -INFINITY;
    for (const auto& [w, m] : parts) top = std::max(top, std::log(w) - (x - m) * (x - m) / 2);
    double sum = 0;
    for (const auto& [w, m] : parts) sum += std::exp(std::log(w) - (x - m) * (x - m) / 2 - top);
    return top + std::log(sum);
  }
};

// No epsilon below this holds at delta for `steps` outcomes of `p` against as many of `q`, whose loss
// log p / q must not fall from left to right (`rises`), or not rise.
inline double least_of(const Mixture& p, const Mixture& q, bool rises, int64_t steps, double delta,
                       double reach) {
  const auto loss = [&](double x) { return p.log_density(x) - q.log_density(x); };
  double left = INFINITY, right = -INFINITY;
  for (const Mixture* m : {&p, &q})
    for (const auto& part : m->parts)
      left = std::min(left, part.second), right = std::max(right, part.second);
  left -= 11, right += 11;
  const auto n = static_cast<double>(steps);
  const int64_t size = std::clamp<int64_t>(
      static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(2 * reach * n / 5e-2))), 1 << 14, 1 << 20);
  const double h = 2 * reach / static_cast<double>(size);
  at::Tensor mass = at::zeros({size}, at::kDouble);
  double* to = mass.data_ptr<double>();
  const int64_t cells = 1 << 16;
  double edge = loss(left);
  for (int64_t k = 0; k < cells; ++k) {
    const double a = left + (right - left) * static_cast<double>(k) / cells,
                 b = left + (right - left) * static_cast<double>(k + 1) / cells, next = loss(b);
    // Above the grid counts as its top; below it, as nothing lost.
    const auto place = static_cast<int64_t>(std::floor((rises ? edge : next) / h));
    edge = next;
    if (place < -size / 2) continue;
    const int64_t at = std::min(place, size / 2 - 1);
    to[at < 0 ? at + size : at] += p.between(a, b);
  }
  const at::Tensor sum = at::fft_irfft(at::fft_rfft(mass).pow(n), size).contiguous();
  const double* s = sum.data_ptr<double>();
  // A sum below -reach comes around at the top: its chance is at most exp(-reach), since E exp(-loss) <= 1
  // (cells are rounded down by h at most). Above the top it comes around at the bottom, and counts less.
  const double wrong = std::exp(-reach + n * h) + 1e-12;
  std::vector<double> above(size / 2 + 1), weighed(size / 2 + 1);
  for (int64_t i = size / 2; i-- > 0;) {
    above[i] = above[i + 1] + s[i];
    weighed[i] = s[i] + std::exp(-h) * weighed[i + 1];
  }
  const auto delta_at = [&](double e) {
    const int64_t i = std::min<int64_t>(static_cast<int64_t>(std::floor(e / h)) + 1, size / 2);
    return above[i] - std::exp(e - static_cast<double>(i) * h) * weighed[i] - wrong;
  };
  if (delta_at(0) <= delta) return 0;
  double low = 0, high = reach;
  while (high - low > 1e-7) {
    const double mid = (low + high) / 2;
    (delta_at(mid) > delta ? low : high) = mid;
  }
  return low;
}

// Both ways round: neither epsilon holds.
inline double certain_epsilon(const Mixture& p, const Mixture& q, bool rises, int64_t steps, double delta) {
  double reach = 40;
  for (;; reach *= 2) {
    const double least =
        std::max(least_of(p, q, rises, steps, delta, reach), least_of(q, p, !rises, steps, delta, reach));
    if (least < reach / 2 || reach > 1e4) return least;
  }
}

// One Gaussian against the same, moved by `mu` deviations in all.
inline double certain_gaussian(double mu, double delta) {
  return certain_epsilon({{{1., 0.}}}, {{{1., mu}}}, false, 1, delta);
}

// The covariance of the noise of the sums of a tree, by the nodes that each sum is made of; 1 a node.
inline at::Tensor tree_covariance(int64_t rounds, int64_t restart) {
  const int64_t length = restart > 0 ? restart : rounds + 1;
  const auto nodes = [&](int64_t r, int64_t tree) {
    std::vector<std::pair<int64_t, int64_t>> out;
    const int64_t t = std::min(r + 1 - tree * length, length);
    for (int64_t begin = 0, level = 62; level >= 0; --level)
      if ((t >> level & 1) != 0)
        out.push_back({begin, begin + (int64_t{1} << level)}), begin = out.back().second;
    return out;
  };
  at::Tensor k = at::zeros({rounds, rounds}, at::kDouble);
  for (int64_t i = 0; i < rounds; ++i) {
    for (int64_t j = 0; j < rounds; ++j) {
      // Whole trees that are over, and the nodes that both are made of.
      const int64_t tree = std::min(i, j) / length;
      auto common = static_cast<double>(tree * std::popcount(static_cast<uint64_t>(length)));
      const auto mine = nodes(i, tree), theirs = nodes(j, tree);
      for (const auto& n : mine) common += static_cast<double>(std::count(theirs.begin(), theirs.end(), n));
      k[i][j] = common;
    }
  }
  return k;
}

}  // namespace symma
