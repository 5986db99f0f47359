#include "symma/exchange/neighbours.h"

#include <algorithm>

#include "symma/core/parallel.h"
#include "symma/core/rng.h"
#include "symma/core/simd.h"

namespace symma {
namespace {

template <class T>
[[gnu::always_inline]] inline void weigh(const T* __restrict from, T weight, bool first, int64_t n,
                                         T* __restrict to) {
  if (first) {
    for (int64_t c = 0; c < n; ++c) to[c] = weight * from[c];
  } else {
    for (int64_t c = 0; c < n; ++c) to[c] += weight * from[c];
  }
}

SYMMA_CLONES void weigh_row(const float* from, float weight, bool first, int64_t n, float* to) {
  weigh(from, weight, first, n, to);
}
SYMMA_CLONES void weigh_row(const double* from, double weight, bool first, int64_t n, double* to) {
  weigh(from, weight, first, n, to);
}

}  // namespace

Neighbours neighbours(const Graph& g) {
  TORCH_CHECK(!g.server, "a server's weights are 1/N everywhere, which is not sparse");
  std::vector<std::vector<int64_t>> near(g.agents);
  for (auto [a, b] : g.edges) near[a].push_back(b), near[b].push_back(a);
  Neighbours out{{0}, {}, {}};
  for (int64_t i = 0; i < g.agents; ++i) {
    std::sort(near[i].begin(), near[i].end());
    double others = 0;
    size_t own = out.column.size();  // where the agent's own entry goes
    for (int64_t j : near[i]) {
      const double w = 1.0 / (1.0 + static_cast<double>(std::max(near[i].size(), near[j].size())));
      others += w;
      if (j < i) ++own;
      out.column.push_back(j);
      out.weight.push_back(w);
    }
    const auto at = static_cast<int64_t>(own);
    out.column.insert(out.column.begin() + at, i);
    out.weight.insert(out.weight.begin() + at, 1 - others);
    out.begin.push_back(static_cast<int64_t>(out.column.size()));
  }
  return out;
}

double Neighbours::at(int64_t row, int64_t wanted) const {
  const auto from = column.begin() + begin[row], to = column.begin() + begin[row + 1];
  const auto it = std::lower_bound(from, to, wanted);
  return it != to && *it == wanted ? weight[it - column.begin()] : 0;
}

double second_eigenvalue(const Neighbours& w) {
  const auto n = static_cast<int64_t>(w.begin.size()) - 1, entries = static_cast<int64_t>(w.column.size());
  if (n < 2) return 0;
  const int64_t most = std::clamp<int64_t>(400'000'000 / entries, 100, 100'000);
  const auto centred = [n](Tensor v) { return v.sub_(v.mean()); };
  Tensor v = centred(normal(Rng(0).split("second eigenvalue"), {n, 1}, at::kDouble));
  double value = 0;
  for (int64_t k = 0; k < most; ++k) {
    // Twice: the eigenvalue may be negative, or there may be one of either sign.
    Tensor next = centred(mix(w, centred(mix(w, v))));
    const double before = v.norm().item<double>(), after = next.norm().item<double>();
    if (after <= 1e-150 * before) return 0;  // W is the mean
    const double now = std::sqrt(after / before);
    if (std::abs(now - value) <= 1e-14 * now) return now;
    value = now;
    v = next / after;
  }
  return value;
}

Tensor mix(const Neighbours& w, const Tensor& rows) {
  if (!rows.is_cpu()) return mix(w, rows.cpu()).to(rows.device());
  const Tensor in = rows.contiguous();
  const int64_t n = static_cast<int64_t>(w.begin.size()) - 1, q = in.size(1);
  Tensor out = at::empty({n, q}, in.options());
  // A piece of a row is summed while it is in the first-level cache.
  constexpr int64_t kColumns = 2048, kRows = 16;
  AT_DISPATCH_FLOATING_TYPES(in.scalar_type(), "mix", [&] {
    const scalar_t* from_all = in.data_ptr<scalar_t>();
    scalar_t* to_all = out.data_ptr<scalar_t>();
    parallel_for(n, kRows, [&](int64_t first, int64_t last) {
      for (int64_t c0 = 0; c0 < q; c0 += kColumns) {
        const int64_t width = std::min(kColumns, q - c0);
        for (int64_t i = first; i < last; ++i) {
          for (int64_t e = w.begin[i]; e < w.begin[i + 1]; ++e) {
            weigh_row(from_all + w.column[e] * q + c0, static_cast<scalar_t>(w.weight[e]), e == w.begin[i],
                      width, to_all + i * q + c0);
          }
        }
      }
    });
  });
  return out;
}

}  // namespace symma
