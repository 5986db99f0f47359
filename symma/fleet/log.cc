#include "symma/fleet/log.h"

#include <cmath>

#include "symma/core/numbers.h"
#include "symma/core/tensorboard.h"
#include "symma/fleet/round.h"
#include "symma/fleet/summary.h"

namespace symma {

Json log_row(const Experiment& e, const RunState& run, const Account& account, double seconds,
             const Json& validation) {
  Json row{{"round", run.round},
           {"seconds", seconds},
           {"tasks", run.tasks},
           {"loss", number(mean_of(e, run, "loss"))},
           {"disagreement", number(disagreement(counted_rows(e, run.learner.theta)))},
           {"bits", run.exchange.total_bits()}};
  // 0 / 0, and null, for those who took no part.
  if (e.fleet.agents <= kMostListed) row["loss_per_agent"] = numbers(run.sums.at("loss") / run.rounds);
  for (const auto& [name, sum] : run.sums) {
    if (name != "loss") row["scores"][name] = number(mean_of(e, run, name));
  }
  if (account.open()) {
    row["epsilon"] = number(account.epsilon(run.round));
    if (e.exchange.privacy.seeded()) row["protects"] = false;
  }
  // Learners of worlds count their steps in them, and curves are drawn against those.
  if (const auto it = run.learner.own.find("env_steps"); it != run.learner.own.end()) {
    const double steps = it->second.sum(at::kDouble).item<double>();
    // Of one agent, in the mean over agents who may have played unequally many: still a whole number.
    row["env_steps"] = std::llround(steps / static_cast<double>(e.fleet.agents));
    row["env_steps_per_s"] = number(steps / std::max(1e-9, seconds));
  }
  if (!validation.is_null()) row["validation"] = validation;
  return row;
}

void forget_sums(RunState& run) {
  for (auto& [name, sum] : run.sums) sum = at::zeros_like(sum);
  run.rounds = at::zeros_like(run.rounds);
}

double score_of(const Json& validation) {
  const Json& last = validation["mean"].back();
  return last.is_null() ? std::nan("") : last.get<double>();
}

LogListener to_tensorboard(EventFile& events, const std::string& metric) {
  return [&events, metric](const Json& row) {
    const auto round = row["round"].get<int64_t>();
    for (const char* tag : {"loss", "disagreement", "bits", "epsilon"}) {
      if (!row.contains(tag) || !row[tag].is_number()) continue;
      const bool nothing = std::string(tag) == "epsilon" && row.contains("protects");
      events.add(nothing ? "epsilon (protects nothing)" : tag, round, row[tag].get<double>());
    }
    if (row.contains("scores")) {
      for (const auto& [name, score] : row["scores"].items()) {
        if (score.is_number()) events.add("train/" + name, round, score.get<double>());
      }
    }
    if (!row.contains("validation")) return;
    const Json& best = row["validation"]["mean"].back();
    if (best.is_number()) events.add("validation/" + metric, round, best.get<double>());
  };
}

}  // namespace symma
