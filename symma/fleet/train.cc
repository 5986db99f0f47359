#include "symma/fleet/train.h"

#include <chrono>
#include <filesystem>
#include <optional>

#include "symma/core/interrupt.h"
#include "symma/core/record.h"
#include "symma/core/tensorboard.h"
#include "symma/fleet/calendar.h"
#include "symma/fleet/spent.h"

namespace symma {
namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

bool train(const Experiment& e, const RunOptions& options, const TrainHooks& hooks, RunState& run) {
  const at::Device device = device_for(e.spec.kind, options.device, "device");
  run = open_run(e, options);
  run.learner = run.learner.on(device);
  const bool resumed = run.round > 0;
  Recorder metrics(in(options, "metrics.jsonl"), resumed ? run.round : -1);
  std::optional<Recorder> lineage;
  if (e.population.on()) {
    lineage.emplace(in(options, "lineage.jsonl"), resumed ? run.round : -1);
    if (!resumed) lineage->add(first_generation(e, run.learner));
  }
  const bool noisy = e.exchange.privacy.of_system();
  std::optional<SpentFile> spent;
  if (noisy) spent.emplace(in(options, "spent.txt"), run.round);
  const Account account = noisy ? Account(e, spent->earlier(), run.round) : Account(e);
  const int64_t last_round = account.last_round(e.fleet.rounds);
  const Calendar calendar(e, last_round);
  // A run may have been stopped between its round and the round's line.
  const bool owes_line = resumed && calendar.logs(run.round) && metrics.last() < run.round;
  const int64_t next = resumed ? run.round + (owes_line ? 0 : 1) : 1;
  if (options.resume) forget_steps_from(options.folder, next);
  EventFile events(options.folder, resumed ? next : -1);
  std::vector<LogListener> listeners{[&](const Json& row) { metrics.add(row); },
                                     to_tensorboard(events, e.spec.metric)};
  listeners.insert(listeners.end(), hooks.listeners.begin(), hooks.listeners.end());
  const auto start = Clock::now();
  const double before = run.seconds;
  const int64_t first = run.round;
  double score = std::nan("");
  int64_t saved = run.round;  // what a killed run would go on from
  double saving = 0;          // seconds that it took
  const auto save = [&] {
    const auto begun = Clock::now();
    run.seconds = before + since(start);
    save_checkpoint(in(options, "checkpoint.safetensors"), e, run);
    saved = run.round, saving = since(begun);
  };
  const auto epsilon = [&] { return account.open() ? account.epsilon(run.round) : std::nan(""); };
  const auto log = [&] {
    Json validation;
    if (calendar.judges(run.round)) {
      const Expendable at_once;
      validation = validate(e, run.learner);
      score = score_of(validation);
    }
    const Json row = log_row(e, run, account, before + since(start), validation);
    for (const LogListener& listener : listeners) listener(row);
    forget_sums(run);
  };
  const auto stop_here = [&](bool whole) {
    // A round that was cut short has left the state in pieces.
    if (whole && (saved != run.round || run.round == 0)) save();
    run.round = saved;
    return false;
  };
  if (owes_line) {
    try {
      log();
    } catch (const Interrupted&) {
      return stop_here(true);
    }
    save();
  } else if (resumed && metrics.last() == run.round) {
    forget_sums(run);  // the line was written, and then the run killed
  }
  bool stopped = false;
  while (run.round < last_round && !stopped) {
    const auto begun = Clock::now();
    run.lock->check();
    try {
      const Expendable nothing_to_lose(saved == run.round);
      if (spent) spent->begin(run.round);
      run_round(e, run);
    } catch (const Interrupted&) {
      return stop_here(false);
    }
    const double took = since(begun);
    if (!run.selection.is_null()) lineage->add(run.selection);
    const bool logged = calendar.logs(run.round);
    const double loss = mean_of(e, run, "loss");
    if (logged) {
      try {
        log();
      } catch (const Interrupted&) {
        return stop_here(true);
      }
    }
    stopped = hooks.stop();
    // Rounds longer than a signal waits for are saved each: what is cut short is then the round alone.
    const bool precious = took > kPatience / 2 && saving < took / 10;
    if (calendar.saves(run.round) || stopped || precious || hooks.save()) save();
    const double rate = static_cast<double>(run.round - first) / std::max(1e-9, since(start));
    hooks.progress({run.round, last_round, rate, static_cast<double>(last_round - run.round) / rate, loss,
                    score, logged, epsilon});
  }
  return run.round >= last_round;
}

}  // namespace symma
