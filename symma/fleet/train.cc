#include "symma/fleet/train.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <sstream>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/parallel.h"
#include "symma/core/record.h"
#include "symma/core/tensorboard.h"
#include "symma/core/version.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string in(const RunOptions& run, const char* file) {
  return (fs::path(run.folder) / file).string();
}

Json number(double x) {
  return std::isfinite(x) ? Json(x) : Json(nullptr);
}

Json numbers(const Tensor& t) {
  Json out = Json::array();
  const Tensor d = t.to(at::kCPU, at::kDouble).contiguous();
  for (int64_t i = 0; i < d.numel(); ++i) out.push_back(number(d.data_ptr<double>()[i]));
  return out;
}

void move_to(State& state, at::Device device) {
  state.theta = state.theta.to(device);
  for (auto& [name, t] : state.own) t = t.to(device);
}

// The first setting in which two experiment files differ, but for how long the run is; "" where there is
// none.
std::string first_difference(const std::string& old_text, const std::string& new_text) {
  const auto settings = [](const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
      line = line.substr(0, line.find("  #"));
      if (!line.empty() && !line.starts_with("rounds = ")) lines.push_back(line);
    }
    return lines;
  };
  const auto a = settings(old_text), b = settings(new_text);
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    if (i >= b.size()) return a[i];
    if (i >= a.size() || a[i] != b[i]) return b[i];
  }
  return "";
}

RunState open_run(const Experiment& e, const RunOptions& run) {
  const std::string checkpoint = in(run, "checkpoint.safetensors"), settings = in(run, "experiment.toml");
  const bool there = fs::exists(settings) || fs::exists(checkpoint);
  if (run.resume && there) {
    const std::string differs = first_difference(read_file(settings), e.toml);
    if (!differs.empty())
      throw UserError(settings, "this run was made with other settings than now asked for (" + differs + ")",
                      "resume with the same ones, or choose another --out");
    // A run killed before its first checkpoint starts again from the beginning.
    return fs::exists(checkpoint) ? load_checkpoint(checkpoint, e) : start_run(e);
  }
  if (there && !run.force)
    throw UserError(run.folder, "holds a run already",
                    "go on with --resume, replace it with --force, or choose another --out");
  make_folder(run.folder);
  if (there) {
    for (const char* file :
         {"checkpoint.safetensors", "metrics.jsonl", "summary.json", "gallery.json", "report.html"})
      fs::remove(in(run, file));
    for (const auto& entry : fs::directory_iterator(run.folder)) {
      if (entry.path().filename().string().starts_with("events.out.tfevents.")) fs::remove(entry.path());
    }
  }
  write_file(settings, e.toml);
  return start_run(e);
}

Json validate(const Experiment& e, const State& state) {
  const Subject subject{*e.learner, *e.model, *e.family, state};
  const auto result = evaluate(subject, Split::kValidation, e.eval.validation_tasks, e.eval.steps,
                               e.eval.from == "own", Rng(e.fleet.seed).split("validation"));
  Json all = eval_json(result, e.spec, "");
  return {{"metric", all["metric"]},
          {"steps", all["steps"]},
          {"mean", all["mean"]},
          {"median", all["median"]},
          {"over_agents", all["over_agents"]}};
}

}  // namespace

RunState start_run(const Experiment& e) {
  RunState run;
  const Rng rng = Rng(e.fleet.seed).split("init");
  run.learner = e.learner->init(e.fleet.agents, rng);
  if (e.fleet.same_start) run.learner.theta = run.learner.theta.slice(0, 0, 1).repeat({e.fleet.agents, 1});
  if (e.fleet.precision == "float64") {
    run.learner.theta = run.learner.theta.to(at::kDouble);
    for (auto& [name, t] : run.learner.own) {
      if (t.is_floating_point()) t = t.to(at::kDouble);
    }
  }
  run.exchange = exchange_start(e.exchange, run.learner.theta);
  run.loss_sum = at::zeros({e.fleet.agents}, at::kDouble);
  return run;
}

Tensor run_round(const Experiment& e, RunState& run) {
  const Rng rng = Rng(e.fleet.seed).split("round", run.round);
  const bool due = e.exchange.due(run.round);
  if (due && e.exchange.combine_first())
    run.learner.theta = exchange(e.exchange, run.exchange, run.learner.theta);
  std::vector<int64_t> who;
  for (int64_t a = 0; a < e.fleet.agents; ++a) who.insert(who.end(), e.fleet.tasks, a);
  const auto batch = e.family->sample(*e.model, who, Split::kTrain, rng.split("tasks"));
  const Scores scores = e.learner->step(run.learner, *batch, rng.split("step"));
  if (due && !e.exchange.combine_first())
    run.learner.theta = exchange(e.exchange, run.exchange, run.learner.theta);
  ++run.round;
  return scores.at("loss");
}

bool train(const Experiment& e, const RunOptions& options, const TrainHooks& hooks, RunState& run) {
  const at::Device device(options.device);
  run = open_run(e, options);
  move_to(run.learner, device);
  const bool resumed = run.round > 0;
  Recorder metrics(in(options, "metrics.jsonl"), resumed ? run.round : -1);
  const int64_t log_every = e.fleet.log_interval(), save_every = e.fleet.checkpoint_interval(),
                validate_every = e.validation_interval();
  EventFile events(options.folder, resumed ? run.round + 1 : -1);
  const auto start = Clock::now();
  const double before = run.seconds;
  const int64_t first = run.round;
  double score = std::nan("");
  const auto save = [&] {
    run.seconds = before + since(start);
    save_checkpoint(in(options, "checkpoint.safetensors"), e, run);
  };
  bool stopped = false;
  while (run.round < e.fleet.rounds && !stopped) {
    run.loss_sum += run_round(e, run).to(at::kCPU, at::kDouble);
    ++run.loss_count;
    const bool last = run.round == e.fleet.rounds;
    // The first round is logged too: it shows where disagreement starts.
    const bool log = run.round % log_every == 0 || run.round == 1 || last;
    const Tensor loss = run.loss_sum / static_cast<double>(run.loss_count);
    if (log) {
      Json row{{"round", run.round},
               {"seconds", before + since(start)},
               {"tasks", run.round * e.fleet.tasks * e.fleet.agents},
               {"loss", number(loss.mean().item<double>())},
               {"loss_per_agent", numbers(loss)},
               {"disagreement", number(disagreement(run.learner.theta))},
               {"bits", run.exchange.total_bits()}};
      // Learners of worlds count their steps in them, and curves are drawn against those.
      if (const auto it = run.learner.own.find("env_steps"); it != run.learner.own.end()) {
        const double steps = it->second.sum().item<double>();
        row["env_steps"] = number(it->second.mean().item<double>());
        row["env_steps_per_s"] = number(steps / std::max(1e-9, before + since(start)));
      }
      if ((run.round % validate_every < log_every && run.round >= validate_every) || last) {
        row["validation"] = validate(e, run.learner);
        const Json& best = row["validation"]["mean"].back();
        score = best.is_null() ? std::nan("") : best.get<double>();
      }
      metrics.add(row);
      for (const char* tag : {"loss", "disagreement", "bits"}) {
        if (row[tag].is_number()) events.add(tag, run.round, row[tag].get<double>());
      }
      if (row.contains("validation") && std::isfinite(score))
        events.add("validation/" + e.spec.metric, run.round, score);
      run.loss_sum = at::zeros_like(run.loss_sum);
      run.loss_count = 0;
    }
    stopped = hooks.stop();
    if (run.round % save_every == 0 || last || stopped) save();
    const double rate = static_cast<double>(run.round - first) / std::max(1e-9, since(start));
    hooks.progress({run.round, e.fleet.rounds, rate, static_cast<double>(e.fleet.rounds - run.round) / rate,
                    loss.mean().item<double>(), score, log});
  }
  return run.round >= e.fleet.rounds;
}

Json conclude(const Experiment& e, const RunOptions& options, const RunState& run) {
  const Subject subject{*e.learner, *e.model, *e.family, run.learner};
  const Rng rng = Rng(e.fleet.seed).split("test");
  const auto judge = [&](Split split) {
    return eval_json(evaluate(subject, split, e.eval.tasks, e.eval.steps, e.eval.from == "own", rng), e.spec,
                     e.protocol());
  };
  const double tasks = static_cast<double>(run.round * e.fleet.tasks * e.fleet.agents);
  Json summary{{"symma", SYMMA_VERSION},
               {"experiment", e.fleet.name},
               {"description", e.fleet.description},
               {"seed", e.fleet.seed},
               {"agents", e.fleet.agents},
               {"rounds", run.round},
               {"wall_s", run.seconds},
               {"tasks_per_s", tasks / std::max(1e-9, run.seconds)},
               {"parameters", e.model->layout().size()},
               {"device", options.device},
               {"threads", threads()},
               {"finished", run.round >= e.fleet.rounds},
               {"task", e.task_kind},
               {"model", e.model_kind},
               {"learner", e.learner_kind},
               {"settings", e.settings}};
  Json shares = Json::array();
  if (const auto* holder = dynamic_cast<const Shares*>(e.family.get())) {
    for (int64_t a = 0; a < e.fleet.agents; ++a) shares.push_back(holder->share(a));
  }
  summary["agent_share"] = shares;
  summary["eval"] = judge(Split::kTest);
  if (e.eval.ood) summary["ood"] = judge(Split::kOod);
  Json edges = Json::array(), weights = Json::array();
  for (size_t i = 0; i < e.exchange.graph.edges.size(); ++i) {
    const auto [a, b] = e.exchange.graph.edges[i];
    edges.push_back({{"from", a}, {"to", b}, {"bits", run.exchange.bits[2 * i]}});
    edges.push_back({{"from", b}, {"to", a}, {"bits", run.exchange.bits[2 * i + 1]}});
  }
  for (int64_t i = 0; i < e.fleet.agents; ++i) weights.push_back(numbers(e.exchange.weights[i]));
  summary["exchange"] = {{"topology", e.exchange.options.topology},
                         {"strategy", e.exchange.options.strategy},
                         {"rounds", run.exchange.rounds},
                         {"bits", run.exchange.total_bits()},
                         {"disagreement", number(disagreement(run.learner.theta))},
                         {"lambda2", second_eigenvalue(e.exchange.weights)},
                         {"server", e.exchange.graph.server},
                         {"weights", weights},
                         {"edges", edges}};
  const Json drawn = gallery(subject, Split::kTest, 6, e.eval.steps.back(), rng.split("gallery"));
  if (!drawn.is_null()) write_file(in(options, "gallery.json"), drawn.dump());
  write_file(in(options, "summary.json"), summary.dump(1) + "\n");
  return summary;
}

}  // namespace symma
