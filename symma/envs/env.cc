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

Tensor team_reward(const EnvSpec& spec, const Tensor& reward) {
  return spec.common_reward ? reward.select(1, 0) : reward.sum(1);
}

}  // namespace symma
