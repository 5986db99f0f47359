#include "symma/fleet/train.h"

#include <chrono>
#include <filesystem>
#include <optional>

#include "symma/core/record.h"
#include "symma/core/tensorboard.h"
#include "symma/fleet/spent.h"

namespace symma {
namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void move_to(State& state, at::Device device) {
  state.theta = state.theta.to(device);
  for (auto& [name, t] : state.own) t = t.to(device);
}

}  // namespace

bool train(const Experiment& e, const RunOptions& options, const TrainHooks& hooks, RunState& run) {
  const at::Device device(options.device);
  run = open_run(e, options);
  move_to(run.learner, device);
  const bool resumed = run.round > 0;
  Recorder metrics(in(options, "metrics.jsonl"), resumed ? run.round : -1);
  std::optional<Recorder> lineage;
  if (e.population.on()) {
    lineage.emplace(in(options, "lineage.jsonl"), resumed ? run.round : -1);
    if (!resumed) lineage->add(first_generation(e, run.learner));
  }
  const int64_t log_every = e.fleet.log_interval(), save_every = e.fleet.checkpoint_interval(),
                validate_every = e.validation_interval();
  EventFile events(options.folder, resumed ? run.round + 1 : -1);
  std::vector<LogListener> listeners{[&](const Json& row) { metrics.add(row); },
                                     to_tensorboard(events, e.spec.metric)};
  listeners.insert(listeners.end(), hooks.listeners.begin(), hooks.listeners.end());
  const auto start = Clock::now();
  const double before = run.seconds;
  const int64_t first = run.round;
  double score = std::nan("");
  const auto save = [&] {
    run.seconds = before + since(start);
    save_checkpoint(in(options, "checkpoint.safetensors"), e, run);
  };
  bool stopped = false;
  const bool noisy = Account(e).open() && !e.exchange.privacy.seeded();
  std::optional<SpentFile> spent;
  if (noisy) spent.emplace(in(options, "spent.txt"), run.round);
  const Account account = noisy ? Account(e, spent->earlier(), run.round) : Account(e);
  double epsilon = account.open() ? account.epsilon(run.round) : std::nan("");
  const int64_t last_round = account.last_round(e.fleet.rounds);
  while (run.round < last_round && !stopped) {
    if (spent) spent->begin(run.round);
    run_round(e, run);
    if (!run.selection.is_null()) lineage->add(run.selection);
    const bool last = run.round == last_round;
    // The first round is logged too: it shows where disagreement starts.
    const bool log = run.round % log_every == 0 || run.round == 1 || last;
    const double loss = mean_of(e, run, "loss");
    if (log) {
      const bool judged = (run.round % validate_every < log_every && run.round >= validate_every) || last;
      const Json validation = judged ? validate(e, run.learner) : Json();
      if (judged) {
        const Json& best = validation["mean"].back();
        score = best.is_null() ? std::nan("") : best.get<double>();
      }
      if (account.open()) epsilon = account.epsilon(run.round);
      const Json row = log_row(e, run, account, before + since(start), validation);
      for (const LogListener& listener : listeners) listener(row);
      for (auto& [name, sum] : run.sums) sum = at::zeros_like(sum);
      run.rounds = at::zeros_like(run.rounds);
    }
    stopped = hooks.stop();
    if (run.round % save_every == 0 || last || stopped) save();
    const double rate = static_cast<double>(run.round - first) / std::max(1e-9, since(start));
    hooks.progress({run.round, last_round, rate, static_cast<double>(last_round - run.round) / rate, loss,
                    score, log, epsilon});
  }
  return run.round >= last_round;
}

}  // namespace symma
