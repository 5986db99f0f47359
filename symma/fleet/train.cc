#include "symma/fleet/train.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <sstream>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/parallel.h"
#include "symma/core/record.h"
#include "symma/core/tensorboard.h"
#include "symma/core/version.h"
#include "symma/eval/scores.h"
#include "symma/fleet/account.h"
#include "symma/learners/rows.h"
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

// Adds what the steps of the agents `who` returned. A plain loop, as below: a round of a small fleet takes
// less than a handful of tensor operations.
void add_scores(RunState& run, const std::vector<int64_t>& who, const Scores& scores) {
  for (const auto& [name, score] : scores) {
    Tensor& sum = run.sums[name];
    if (!sum.defined()) sum = at::zeros_like(run.rounds);
    const Tensor from = score.to(at::kCPU, at::kDouble).contiguous();
    for (size_t i = 0; i < who.size(); ++i) sum.data_ptr<double>()[who[i]] += from.data_ptr<double>()[i];
  }
  for (int64_t a : who) ++run.rounds.data_ptr<double>()[a];
}

// The mean of a score over those who count and took part since the last line of the log; not a number where
// nobody did.
double mean_of(const Experiment& e, const RunState& run, const std::string& score) {
  double total = 0, n = 0;
  const auto add = [&](int64_t agent) {
    const double rounds = run.rounds.data_ptr<double>()[agent];
    if (rounds > 0) total += run.sums.at(score).data_ptr<double>()[agent] / rounds, ++n;
  };
  const auto counted = e.counted();
  for (int64_t a : counted) add(a);
  if (counted.empty()) {
    for (int64_t a = 0; a < e.fleet.agents; ++a) add(a);
  }
  return total / n;
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
    RunState state = fs::exists(checkpoint) ? load_checkpoint(checkpoint, e) : start_run(e);
    // What a run is, its file says: also how long, once it goes on for longer.
    if (read_file(settings) != e.toml) write_file(settings, e.toml);
    return state;
  }
  if (there && !run.force)
    throw UserError(run.folder, "holds a run already",
                    "go on with --resume, replace it with --force, or choose another --out");
  make_folder(run.folder);
  if (there) {
    for (const char* file : {"checkpoint.safetensors", "metrics.jsonl", "lineage.jsonl", "summary.json",
                             "scores.csv", "gallery.json", "report.html"})
      fs::remove(in(run, file));
    for (const auto& entry : fs::directory_iterator(run.folder)) {
      if (entry.path().filename().string().starts_with("events.out.tfevents.")) fs::remove(entry.path());
    }
  }
  write_file(settings, e.toml);
  return start_run(e);
}

Tensor index_of(const std::vector<int64_t>& agents) {
  return at::tensor(agents, at::kLong);
}

// The rows of those who count.
Tensor counted_rows(const Experiment& e, const Tensor& t) {
  const auto counted = e.counted();
  return counted.empty() ? t : t.index_select(0, index_of(counted).to(t.device()));
}

// Mixes the rows, and tells the agents' optimisers what their rows became.
void communicate(const Experiment& e, RunState& run) {
  run.learner.theta = exchange(e.exchange, run.exchange, run.learner.theta, e.exchange_key());
  if (run.learner.own.contains("anchor")) run.learner.own["anchor"] = run.learner.theta;
}

// The agents of `who` learn, the others stand still. Returns what their steps did, one for each of `who`.
Scores learn(const Experiment& e, State& state, const std::vector<int64_t>& who, Rng rng) {
  std::vector<int64_t> places, poisoned;
  for (int64_t a : who) {
    for (int64_t t = 0; t < e.fleet.tasks; ++t) {
      if (e.exchange.hostile(a)) poisoned.push_back(static_cast<int64_t>(places.size()));
      places.push_back(a);
    }
  }
  std::unique_ptr<TaskBatch> batch =
      e.family->sample(*e.model, asks_for(places, rng.split("tasks")), Split::kTrain);
  if (dynamic_cast<const PoisonsLabels*>(e.exchange.attack.get()))
    batch = dynamic_cast<const SupervisedBatch&>(*batch).flipped(poisoned);
  if (static_cast<int64_t>(who.size()) == e.fleet.agents)
    return e.learner->step(state, *batch, rng.split("step"));
  State part = state.rows(who);
  const Scores scores = e.learner->step(part, *batch, rng.split("step"));
  state.put(who, part);
  return scores;
}

// Evaluates those agents that the file asks for: all, or some evenly spaced.
EvalResult judged_on(const Experiment& e, const State& whole, Split split, int64_t tasks, Rng rng) {
  const int64_t n = whole.size(), some = e.eval.agents;
  const bool all = some == 0 || some >= n;
  std::vector<int64_t> places, counted;
  for (int64_t k = 0; k < (all ? n : some); ++k) {
    places.push_back(all ? k : k * n / some);
    if (e.exchange.attack && !e.exchange.hostile(places.back())) counted.push_back(k);
  }
  const State part = all ? whole : whole.rows(places);
  const Subject subject{*e.learner, *e.model, *e.family, part, counted};
  return evaluate(subject, split, tasks, e.eval.steps, e.eval.from == "own", rng);
}

Json validate(const Experiment& e, const State& state) {
  const auto result =
      judged_on(e, state, Split::kValidation, e.eval.validation_tasks, Rng(e.fleet.seed).split("validation"));
  Json all = eval_json(result, e.spec, "");
  return {{"metric", all["metric"]},
          {"steps", all["steps"]},
          {"mean", all["mean"]},
          {"median", all["median"]},
          {"over_agents", all["over_agents"]}};
}

// A fleet of more agents than this is not listed agent by agent in the log and the summary.
constexpr int64_t kMostListed = 1000;

Rng test_key(const Experiment& e) {
  return Rng(e.fleet.seed).split("test");
}

}  // namespace

EvalResult judge(const Experiment& e, const State& state, Split split) {
  return judged_on(e, state, split, e.eval.tasks, test_key(e));
}

Json verdict(const Experiment& e, const EvalResult& r) {
  Json out = eval_json(r, e.spec, e.protocol());
  out["judged_on"] = {{"seed", e.fleet.seed},
                      {"task", e.settings["task"]},
                      {"tasks", e.eval.tasks},
                      {"from", e.eval.from},
                      {"agents", e.eval.from == "own" ? e.fleet.agents : 0}};
  const auto judged = static_cast<int64_t>(r.agents.size());
  if (judged < e.fleet.agents) out["judged_agents"] = r.agents;
  if (judged < e.fleet.agents || judged > kMostListed) out.erase("per_agent");
  return out;
}

void run_round(const Experiment& e, RunState& run) {
  const Rng rng = Rng(e.fleet.seed).split("round", run.round);
  const bool due = e.exchange.due(run.round);
  if (due && e.exchange.combine_first()) communicate(e, run);
  const std::vector<int64_t> who = participants(e.exchange, run.exchange.rounds, e.exchange_key());
  if (!who.empty()) {
    add_scores(run, who, learn(e, run.learner, who, rng));
    run.tasks += static_cast<int64_t>(who.size()) * e.fleet.tasks;
  }
  if (due && !e.exchange.combine_first()) communicate(e, run);
  ++run.round;
  run.selection = e.population.due(run.round) ? select(e, run.learner, run.round) : Json();
}

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
  const auto start = Clock::now();
  const double before = run.seconds;
  const int64_t first = run.round;
  double score = std::nan("");
  const auto save = [&] {
    run.seconds = before + since(start);
    save_checkpoint(in(options, "checkpoint.safetensors"), e, run);
  };
  bool stopped = false;
  const Account account(e);
  const int64_t last_round = account.last_round(e.fleet.rounds);
  while (run.round < last_round && !stopped) {
    run_round(e, run);
    if (!run.selection.is_null()) lineage->add(run.selection);
    const bool last = run.round == last_round;
    // The first round is logged too: it shows where disagreement starts.
    const bool log = run.round % log_every == 0 || run.round == 1 || last;
    const double loss = mean_of(e, run, "loss");
    if (log) {
      Json row{{"round", run.round},
               {"seconds", before + since(start)},
               {"tasks", run.tasks},
               {"loss", number(loss)},
               {"disagreement", number(disagreement(counted_rows(e, run.learner.theta)))},
               {"bits", run.exchange.total_bits()}};
      // 0 / 0, and null, for those who took no part.
      if (e.fleet.agents <= kMostListed) row["loss_per_agent"] = numbers(run.sums.at("loss") / run.rounds);
      for (const auto& [name, sum] : run.sums) {
        if (name != "loss") row["scores"][name] = number(mean_of(e, run, name));
      }
      if (account.open()) row["epsilon"] = account.epsilon(run.round);
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
      for (const char* tag : {"loss", "disagreement", "bits", "epsilon"}) {
        if (row.contains(tag) && row[tag].is_number()) events.add(tag, run.round, row[tag].get<double>());
      }
      if (row.contains("scores")) {
        for (const auto& [name, score] : row["scores"].items()) {
          if (score.is_number()) events.add("train/" + name, run.round, score.get<double>());
        }
      }
      if (row.contains("validation") && std::isfinite(score))
        events.add("validation/" + e.spec.metric, run.round, score);
      for (auto& [name, sum] : run.sums) sum = at::zeros_like(sum);
      run.rounds = at::zeros_like(run.rounds);
    }
    stopped = hooks.stop();
    if (run.round % save_every == 0 || last || stopped) save();
    const double rate = static_cast<double>(run.round - first) / std::max(1e-9, since(start));
    hooks.progress({run.round, last_round, rate, static_cast<double>(last_round - run.round) / rate, loss,
                    score, log, account.open() ? account.epsilon(run.round) : std::nan("")});
  }
  return run.round >= last_round;
}

Json conclude(const Experiment& e, const RunOptions& options, const RunState& run) {
  const Subject subject{*e.learner, *e.model, *e.family, run.learner, e.counted()};
  const double tasks = static_cast<double>(run.tasks);
  const Account account(e);
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
               {"finished", run.round >= account.last_round(e.fleet.rounds)},
               {"task", e.task_kind},
               {"model", e.model_kind},
               {"learner", e.learner_kind},
               {"settings", e.settings}};
  Json shares = Json::array();
  if (const auto* holder = dynamic_cast<const Shares*>(e.family.get())) {
    for (int64_t a = 0; a < e.fleet.agents && e.fleet.agents <= kMostListed; ++a)
      shares.push_back(holder->share(a));
  }
  summary["agent_share"] = shares;
  std::vector<EvalResult> judged{judge(e, run.learner, Split::kTest)};
  if (e.eval.ood) judged.push_back(judge(e, run.learner, Split::kOod));
  for (const auto& r : judged) summary[r.split == Split::kTest ? "eval" : "ood"] = verdict(e, r);
  const Exchange& x = e.exchange;
  // Of a large fleet the totals say more than a list of every edge, and the file stays one that is read.
  constexpr size_t kMostEdges = 2000;
  Json edges = Json::array();
  for (size_t i = 0; i < x.graph.edges.size() && x.graph.edges.size() <= kMostEdges; ++i) {
    const auto [a, b] = x.graph.edges[i];
    const double weight = x.graph.server ? 1.0 / static_cast<double>(x.graph.agents) : x.weights.at(a, b);
    edges.push_back({{"from", a}, {"to", b}, {"bits", run.exchange.bits[2 * i]}, {"weight", weight}});
    edges.push_back({{"from", b}, {"to", a}, {"bits", run.exchange.bits[2 * i + 1]}, {"weight", weight}});
  }
  summary["exchange"] = {{"topology", e.exchange.options.topology},
                         {"strategy", e.exchange.options.strategy},
                         {"rounds", run.exchange.rounds},
                         {"bits", run.exchange.total_bits()},
                         {"disagreement", number(disagreement(counted_rows(e, run.learner.theta)))},
                         {"lambda2", x.graph.server ? 0 : second_eigenvalue(x.weights)},
                         {"server", e.exchange.graph.server},
                         {"directed_edges", 2 * x.graph.edges.size()},
                         {"edges", edges}};
  if (e.exchange.attack)
    summary["faults"] = {{"kind", e.settings["faults"]["kind"]},
                         {"agents", e.settings["faults"]["agents"]},
                         {"over", "scores, loss and disagreement are over the honest agents"}};
  if (account.open()) summary["privacy"] = account.summary(run.round);
  if (e.population.on()) summary["population"] = population_summary(e, run.learner, summary["eval"]);
  const Json drawn = gallery(subject, Split::kTest, 6, e.eval.steps.back(), test_key(e).split("gallery"));
  if (!drawn.is_null()) write_file(in(options, "gallery.json"), drawn.dump());
  write_file(in(options, "scores.csv"), scores_csv(judged));
  write_file(in(options, "summary.json"), summary.dump(1) + "\n");
  return summary;
}

}  // namespace symma
