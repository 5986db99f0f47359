#include "symma/tasks/repeated.h"

#include "symma/core/parallel.h"
#include "symma/tasks/rollout.h"

namespace symma {

Tensor mirror(int64_t n) {
  Tensor out = at::zeros({1 + n * n}, at::kLong);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) out.data_ptr<int64_t>()[1 + n * i + j] = 1 + n * j + i;
  }
  return out;
}

Tensor exact_values(const RepeatedGame& g, const Tensor& own, const Tensor& rival) {
  const int64_t b = own.size(0), n = g.actions, joint = n * n;
  const Tensor seen = rival.index_select(1, mirror(n).to(rival.device()));  // by the player's states
  const Tensor both = (own.unsqueeze(3) * seen.unsqueeze(2)).view({b, 1 + joint, joint});
  const Tensor first = both.narrow(1, 0, 1), chain = both.narrow(1, 1, joint);  // [B, 1, n^2], [B, n^2, n^2]
  // Discounted visits d = p (1 - gamma M)^-1 first: one right side for both players.
  const Tensor visits = at::linalg_solve(at::eye(joint, own.options()) - g.gamma * chain.transpose(1, 2),
                                         first.transpose(1, 2));
  return visits.squeeze(2).matmul(g.pay.to(own.options()));
}

Rounds play_rounds(const RepeatedGame& g, const Tensor& own, const Tensor& rival, int64_t episodes,
                   int64_t rounds, std::span<const Rng> keys) {
  const int64_t b = own.size(0), n = g.actions, s = g.states();
  const Tensor p = own.detach().to(at::kCPU, at::kDouble).contiguous(),
               q = rival.detach().to(at::kCPU, at::kDouble).contiguous();
  const Tensor pay = g.pay.contiguous();
  Rounds out{at::empty({b, episodes, rounds}, at::kLong), at::empty({b, episodes, rounds}, at::kLong),
             at::empty({b, episodes, rounds, 2}, at::kDouble)};
  // A diverged policy's NaN is below nothing, and the last action is taken.
  const auto draw = [n](const double* probability, double u) {
    int64_t a = 0;
    for (; a + 1 < n && !(u < probability[a]); ++a) u -= probability[a];
    return a;
  };
  parallel_for(b, 1, [&](int64_t m, int64_t) {
    Draws d(keys[m]);
    const double *of_own = p.data_ptr<double>() + m * s * n, *of_rival = q.data_ptr<double>() + m * s * n;
    int64_t at = m * episodes * rounds;
    for (int64_t e = 0; e < episodes; ++e) {
      int64_t mine = 0, its = 0;
      for (int64_t t = 0; t < rounds; ++t, ++at) {
        const int64_t i = draw(of_own + mine * n, d.uniform()), j = draw(of_rival + its * n, d.uniform());
        out.own.data_ptr<int64_t>()[at] = mine * n + i;
        out.rival.data_ptr<int64_t>()[at] = its * n + j;
        std::copy_n(pay.data_ptr<double>() + 2 * (n * i + j), 2, out.reward.data_ptr<double>() + 2 * at);
        mine = 1 + n * i + j, its = 1 + n * j + i;
      }
    }
  });
  return out;
}

Tensor sampled_values(const RepeatedGame& g, const Tensor& own, const Tensor& rival, const Rounds& r) {
  const auto said = [](const Tensor& table, const Tensor& at) {
    return table.reshape({table.size(0), -1}).gather(1, at.view({at.size(0), -1})).view(at.sizes());
  };
  const Tensor log_p = said(own, r.own) + said(rival, r.rival);  // [B, E, T]
  const Tensor reward = r.reward.to(log_p.scalar_type()), alive = at::ones_like(log_p.detach());
  return -at::stack(
      {dice(log_p, reward.select(3, 0), alive, g.gamma), dice(log_p, reward.select(3, 1), alive, g.gamma)},
      1);
}

}  // namespace symma
