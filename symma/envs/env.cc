#include "symma/envs/env.h"

#include <cmath>

namespace symma {

Tensor draw_tasks(const HasTasks& world, int64_t copies, TaskRange range, Rng rng) {
  const auto& parameters = world.task_parameters();
  const auto k = static_cast<int64_t>(parameters.size());
  Tensor tasks = at::empty({copies, k}, at::kDouble);
  double* out = tasks.data_ptr<double>();
  for (int64_t e = 0; e < copies; ++e) {
    Draws draws(rng.split("task", e));
    for (const TaskParameter& p : parameters) {
      const auto& [low, high] = range == TaskRange::kTrain  ? p.train
                                : range == TaskRange::kTest ? p.test
                                                            : p.ood;
      *out++ = p.whole ? low + static_cast<double>(draws.below(static_cast<int64_t>(high - low) + 1))
                       : draws.uniform(low, high);
    }
  }
  return tasks;
}

Tensor team_reward(const EnvSpec& spec, const Tensor& reward, std::span<const int64_t> scripted) {
  if (spec.common_reward) return reward.select(1, 0);
  Tensor sum = reward.sum(1);
  for (int64_t p : scripted) sum = sum - reward.select(1, p);
  return sum;
}

Tensor nearest_choices(const EnvSpec& spec, const Tensor& numbers) {
  TORCH_CHECK(spec.numbers > 0, spec.name, " has no levels");
  const int64_t e = numbers.size(0), a = spec.agents, n = spec.actions, m = spec.numbers;
  const Tensor x = numbers.to(at::kFloat).contiguous();
  Tensor out = at::zeros({e, a}, at::kLong);
  for (int64_t i = 0; i < e * a; ++i) {
    const float* wanted = x.data_ptr<float>() + i * m;
    double least = std::numeric_limits<double>::infinity();
    for (int64_t k = 0; k < spec.agent_actions[i % a]; ++k) {
      const float* has = &spec.choices[((i % a) * n + k) * m];
      double apart = 0;
      for (int64_t j = 0; j < m; ++j) apart += (has[j] - wanted[j]) * (has[j] - wanted[j]);
      if (apart < least) least = apart, out.data_ptr<int64_t>()[i] = k;
    }
  }
  return out;
}

void allocate(const EnvSpec& spec, Frame& frame) {
  const int64_t e = spec.copies, a = spec.agents;
  frame.obs = at::zeros({e, a, spec.obs}, at::kFloat);
  frame.reward = at::zeros({e, a}, at::kFloat);
  frame.terminated = at::zeros({e}, at::kBool);
  frame.truncated = at::zeros({e}, at::kBool);
  frame.mask = at::zeros({e, a, spec.actions}, at::kBool);
  for (int64_t i = 0; i < a; ++i) frame.mask.select(1, i).narrow(1, 0, spec.agent_actions[i]).fill_(true);
  frame.state = frame.obs.view({e, spec.state});
  frame.final_obs = at::zeros_like(frame.obs);
  frame.final_state = frame.final_obs.view({e, spec.state});
  if (!spec.leaving) return;
  frame.present = at::ones({e, a}, at::kBool);
  frame.final_present = at::ones({e, a}, at::kBool);
}

}  // namespace symma
