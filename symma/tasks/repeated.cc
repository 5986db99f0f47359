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

Tensor exact_values_composite(const RepeatedGame& g, const Tensor& own_logits, const Tensor& rival_logits) {
  const Tensor own = own_logits.softmax(2), rival = rival_logits.softmax(2);
  const int64_t b = own.size(0), n = g.actions, joint = n * n;
  const Tensor seen = rival.index_select(1, mirror(n).to(rival.device()));  // by the player's states
  const Tensor both = (own.unsqueeze(3) * seen.unsqueeze(2)).view({b, 1 + joint, joint});
  const Tensor first = both.narrow(1, 0, 1), chain = both.narrow(1, 1, joint);  // [B, 1, n^2], [B, n^2, n^2]
  // Discounted visits d = p (1 - gamma M)^-1 first: one right side for both players.
  const Tensor visits = at::linalg_solve(at::eye(joint, own.options()) - g.gamma * chain.transpose(1, 2),
                                         first.transpose(1, 2));
  return visits.squeeze(2).matmul(g.pay.to(own.options()));
}

namespace {

// From the states and rewards of one match. What is expected of a state must not come from the episode that
// it is held against, or derivatives were biased. A state that no other episode was in counts as all of them.
void fill_baseline(const RepeatedGame& g, int64_t episodes, int64_t rounds, const int64_t* own,
                   const double* reward, double* out) {
  const int64_t s = g.states();
  std::vector<double> sum(episodes * s * 2, 0), count(episodes * s, 0), all(s * 2, 0), times(s, 0);
  for (int64_t e = 0; e < episodes; ++e) {
    double to_go[2] = {0, 0};
    for (int64_t t = rounds; t-- > 0;) {
      const int64_t at = e * rounds + t, state = own[at] / g.actions;
      for (int64_t who = 0; who < 2; ++who) {
        to_go[who] = reward[2 * at + who] + g.gamma * to_go[who];
        sum[2 * (e * s + state) + who] += to_go[who], all[2 * state + who] += to_go[who];
      }
      ++count[e * s + state], ++times[state];
    }
  }
  for (int64_t e = 0; e < episodes; ++e) {
    std::vector<double> expected(2 * s), mean(2, 0);
    for (int64_t who = 0; who < 2; ++who) {
      double total = 0;
      for (int64_t state = 0; state < s; ++state)
        total += all[2 * state + who] - sum[2 * (e * s + state) + who];
      mean[who] = episodes > 1 ? total / static_cast<double>((episodes - 1) * rounds) : 0;
      for (int64_t state = 0; state < s; ++state) {
        const double n = times[state] - count[e * s + state];
        expected[2 * state + who] =
            n > 0 ? (all[2 * state + who] - sum[2 * (e * s + state) + who]) / n : mean[who];
      }
    }
    for (int64_t at = e * rounds; at < (e + 1) * rounds; ++at)
      std::copy_n(&expected[2 * (own[at] / g.actions)], 2, out + 2 * at);
  }
}

}  // namespace

Rounds play_rounds(const RepeatedGame& g, const Tensor& own, const Tensor& rival, int64_t episodes,
                   int64_t rounds, std::span<const Rng> keys) {
  const int64_t b = own.size(0), n = g.actions, s = g.states();
  const Tensor p = own.detach().to(at::kCPU, at::kDouble).contiguous(),
               q = rival.detach().to(at::kCPU, at::kDouble).contiguous();
  const Tensor pay = g.pay.contiguous();
  Rounds out{at::empty({b, episodes, rounds}, at::kLong), at::empty({b, episodes, rounds}, at::kLong),
             at::empty({b, episodes, rounds, 2}, at::kDouble),
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
    const int64_t from = m * episodes * rounds;
    fill_baseline(g, episodes, rounds, out.own.data_ptr<int64_t>() + from,
                  out.reward.data_ptr<double>() + 2 * from, out.baseline.data_ptr<double>() + 2 * from);
  });
  return out;
}

Tensor sampled_values(const RepeatedGame& g, const Tensor& own, const Tensor& rival, const Rounds& r) {
  const auto said = [](const Tensor& table, const Tensor& at) {
    return table.reshape({table.size(0), -1}).gather(1, at.view({at.size(0), -1})).view(at.sizes());
  };
  const Tensor log_p = said(own, r.own) + said(rival, r.rival);  // [B, E, T]
  const Tensor reward = r.reward.to(log_p.scalar_type()), alive = at::ones_like(log_p.detach());
  const auto of = [&](int64_t who) {
    const Tensor expected =
        r.baseline.defined() ? r.baseline.to(log_p.scalar_type()).select(3, who) : Tensor();
    return -dice(log_p, reward.select(3, who), alive, g.gamma, expected);
  };
  return at::stack({of(0), of(1)}, 1);
}

}  // namespace symma
