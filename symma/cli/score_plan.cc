#include "symma/cli/score_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "symma/core/errors.h"
#include "symma/core/registry.h"
#include "symma/fleet/round.h"
#include "symma/fleet/summary.h"
#include "symma/fleet/sweep.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

std::string edges_without_last(const Experiment& e, int64_t agents) {
  Json edges = Json::array();
  if (e.exchange.graph.server || e.exchange.options.topology == "none") {
    for (int64_t a = 0; a + 1 < agents; ++a)
      for (int64_t b = a + 1; b + 1 < agents; ++b) edges.push_back({a, b});
  } else {
    for (const auto& [a, b] : e.exchange.graph.edges)
      if (a != agents - 1 && b != agents - 1) edges.push_back({a, b});
  }
  return edges.dump();
}

std::string bad_agents(int64_t bad) {
  Json list = Json::array();
  for (int64_t a = 0; a < bad; ++a) list.push_back(a);
  return list.dump();
}

class Plan {
 public:
  explicit Plan(const Experiment& base) : base_(base) {}

  std::vector<ScoreItem> all() {
    add({.id = "base",
         .axis = "efficiency",
         .role = "base",
         .what = "as the file has it",
         .to = "",
         .priority = 0});
    efficiency();
    generalisation();
    noise();
    robustness();
    scalability();
    std::stable_sort(items_.begin(), items_.end(),
                     [](const ScoreItem& x, const ScoreItem& y) { return x.priority < y.priority; });
    return items_;
  }

 private:
  void add(ScoreItem item) {
    // Agents and tasks are what the scaling of fleets changes; all else trains about as long as the file.
    int64_t agents = base_.fleet.agents, tasks = base_.fleet.tasks;
    for (const auto& s : item.train) {
      if (s.starts_with("agents=")) agents = std::stoll(s.substr(7));
      if (s.starts_with("tasks=")) tasks = std::stoll(s.substr(6));
    }
    const bool trained = item.id == "base" || !item.train.empty();
    item.cost = trained ? static_cast<double>(agents * tasks) /
                              static_cast<double>(base_.fleet.agents * base_.fleet.tasks)
                        : 0.1;
    items_.push_back(std::move(item));
  }

  bool has(const char* section, const char* key) const {
    return base_.settings.contains(section) && base_.settings[section].contains(key);
  }

  void efficiency() {
    for (const char* rival : {"scratch", "pretrain"}) {
      if (base_.chosen.learner.kind() == rival) continue;
      add({.id = rival,
           .axis = "efficiency",
           .role = "rival",
           .what = std::string(rival) == "scratch" ? "Learning from scratch" : "Transfer (pretrain)",
           .train = {std::string("learner.kind=") + rival},
           .priority = 0});
    }
  }

  void generalisation() {
    const auto split = [&](const char* id, const char* what, Split s, int64_t priority) {
      ScoreItem item{
          .id = id, .axis = "generalisation", .role = "unseen", .what = what, .priority = priority};
      item.split = s;
      add(item);
    };
    split("train_tasks", "Scores on training tasks", Split::kTrain, 0);
    split("ood_tasks", "Scores on out-of-distribution tasks", Split::kOod, 0);
    if (base_.fleet.agents >= 3) {
      const int64_t last = base_.fleet.agents - 1;
      const std::vector<std::string> apart{"exchange.topology=edges",
                                           "exchange.edges=" + edges_without_last(base_, base_.fleet.agents)};
      ScoreItem alone{.id = "newcomer_self",
                      .axis = "generalisation",
                      .role = "reference",
                      .what = fmt::format("agent {} alone, on its own tasks", last),
                      .train = apart,
                      .to = "",
                      .priority = 2};
      alone.newcomer = last, alone.self = true;
      ScoreItem others{.id = "newcomer",
                       .axis = "generalisation",
                       .role = "newcomer",
                       .what = fmt::format(
                           "A newcomer's tasks (agent {}'s, whom the others never met), against that agent "
                           "learning alone",
                           last),
                       .train = apart,
                       .to = "newcomer_self",
                       .priority = 2};
      others.newcomer = last;
      add(alone), add(others);
    }
    for (const char* key : {"test_shots", "shots"}) {
      if (!has("task", key) || !base_.settings["task"][key].is_number_integer()) continue;
      const auto shots = base_.settings["task"][key].get<int64_t>();
      if (shots < 1) continue;
      for (const int64_t other : {shots / 2, 2 * shots}) {
        if (other < 1) continue;
        ScoreItem item{.id = fmt::format("shots_{}", other),
                       .axis = "generalisation",
                       .role = "shots",
                       .what = fmt::format("{} shot{} in place of {}", other, other == 1 ? "" : "s", shots),
                       .judge = {fmt::format("task.{}={}", key, other)},
                       .priority = 1};
        add(item);
      }
      break;
    }
    if (has("model", "hidden") && base_.settings["model"]["hidden"].is_array()) {
      Json half = Json::array(), twice = Json::array();
      for (const Json& h : base_.settings["model"]["hidden"])
        half.push_back(std::max<int64_t>(1, h.get<int64_t>() / 2)), twice.push_back(2 * h.get<int64_t>());
      add({.id = "model_half",
           .axis = "generalisation",
           .role = "size",
           .what = "Half as wide a model",
           .train = {"model.hidden=" + half.dump()},
           .priority = 2});
      add({.id = "model_twice",
           .axis = "generalisation",
           .role = "size",
           .what = "Twice as wide a model",
           .train = {"model.hidden=" + twice.dump()},
           .priority = 3});
    }
  }

  void noise() {
    const std::vector<Ask> one = asks_for(std::vector<int64_t>{kEveryone}, Rng(1));
    const auto batch = base_.family->sample(*base_.model, one, Split::kTest);
    if (dynamic_cast<const SupervisedBatch*>(batch.get())) {
      ScoreItem x{.id = "noisy_inputs",
                  .axis = "robustness",
                  .role = "noise",
                  .what = "Inputs to learn from with noise of .3 deviations",
                  .priority = 1};
      x.input_noise = 0.3;
      ScoreItem y{.id = "noisy_labels",
                  .axis = "robustness",
                  .role = "noise",
                  .what = base_.spec.kind == Kind::kClassification
                              ? "A fifth of the labels to learn from wrong"
                              : "Targets to learn from with noise of .2 deviations",
                  .priority = 1};
      y.label_noise = 0.2;
      add(x), add(y);
    }
  }

  // A fleet of at least six, with as much data in all as the file's.
  std::vector<std::string> fleet() const {
    const int64_t agents = std::max<int64_t>(6, base_.fleet.agents);
    if (agents == base_.fleet.agents) return {};
    const int64_t each = std::max<int64_t>(1, base_.fleet.agents * base_.fleet.tasks / agents);
    return {fmt::format("agents={}", agents), fmt::format("tasks={}", each)};
  }

  // The plain mean and rules that are meant for this; of the others the first attack alone is asked.
  static constexpr const char* kRules[] = {"mean", "median", "trimmed_mean", "geometric_median",
                                           "multi_krum"};

  void robustness() {
    // Hostile agents need honest ones, and where two of six lie, each has to hear the other five.
    auto of_fleet = fleet();
    if (base_.exchange.options.topology != "full" && !base_.exchange.graph.server)
      of_fleet.emplace_back("exchange.topology=full");
    const bool same = of_fleet.empty();
    const auto plus = [&](std::vector<std::string> more) {
      std::vector<std::string> out = of_fleet;
      out.insert(out.end(), more.begin(), more.end());
      return out;
    };
    if (!same)
      add({.id = "fleet",
           .axis = "robustness",
           .role = "reference",
           .what = "the fleet that is attacked, all honest",
           .train = of_fleet,
           .to = "",
           .priority = 0});
    const std::string peace = same ? "base" : "fleet";
    std::vector<std::string> attacks;
    for (const auto& [name, part] : catalog()["Attack"]) attacks.push_back(name);
    // The plainest first, so that a budget cuts the others.
    std::stable_partition(attacks.begin(), attacks.end(),
                          [](const auto& a) { return a == "sign_flip" || a == "silent"; });
    for (size_t k = 0; k < attacks.size(); ++k) {
      for (const int64_t bad : {2, 1}) {
        for (size_t r = 0; r < std::size(kRules); ++r) {
          const std::string rule = kRules[r];
          const bool dies = attacks[k] == "silent", usual = r < 2;
          if (!usual && (attacks[k] != "sign_flip" || bad != 2)) continue;
          ScoreItem item{.id = fmt::format("{}_{}_{}", attacks[k], bad, rule),
                         .axis = "robustness",
                         .role = "attack",
                         .what = dies ? fmt::format("{} agent{} that die{}", bad == 1 ? "One" : "Two",
                                                    bad == 1 ? "" : "s", bad == 1 ? "s" : "")
                                      : fmt::format("{} hostile agent{} ({})", bad == 1 ? "One" : "Two",
                                                    bad == 1 ? "" : "s", attacks[k]),
                         .train = plus({"faults.kind=" + attacks[k], "faults.agents=" + bad_agents(bad)}),
                         .to = peace};
          if (rule != "mean") {
            item.train.push_back("aggregator.kind=" + rule);
            item.train.push_back(fmt::format("aggregator.bad={}", bad));
          }
          item.extra = {{"rule", rule}, {"attack", attacks[k]}, {"bad", bad}};
          item.priority = !usual ? 3
                          : attacks[k] == "sign_flip" && bad == 2
                              ? 0
                              : 2 + static_cast<int64_t>(k) + (bad == 1 ? 2 : 0);
          add(item);
        }
      }
    }
    for (const auto& [key, words] :
         std::vector<std::pair<std::string, std::string>>{{"lost", "A fifth of the messages lost"},
                                                          {"late", "A fifth of the messages late"},
                                                          {"doubled", "A fifth of the messages doubled"},
                                                          {"cut", "A fifth of the messages cut short"}}) {
      add({.id = "message_" + key,
           .axis = "robustness",
           .role = "fault",
           .what = words,
           .train = plus({"faults." + key + "=0.2"}),
           .to = peace,
           .priority = key == "lost" ? 1 : 4});
    }
    add({.id = "message_reordered",
         .axis = "robustness",
         .role = "fault",
         .what = "Messages late and out of order",
         .train = plus({"faults.late=0.4", "faults.reordered=0.5"}),
         .to = peace,
         .priority = 5});
  }

  void scalability() {
    const int64_t agents = base_.fleet.agents, tasks = base_.fleet.tasks;
    // On each graph, against no sharing, in the file's fleet or one of six.
    const auto on = [&](const std::string& graph) {
      std::vector<std::string> out = fleet();
      out.push_back("exchange.topology=" + graph);
      return out;
    };
    add({.id = "graph_none",
         .axis = "scalability",
         .role = "reference",
         .what = "the fleet without sharing",
         .train = on("none"),
         .to = "",
         .priority = 0});
    for (const auto& [graph, words, priority] : std::vector<std::tuple<std::string, std::string, int64_t>>{
             {"ring", "the ring", 0}, {"full", "the full graph", 1}, {"star", "a star with a server", 3}})
      add({.id = "graph_" + graph,
           .axis = "scalability",
           .role = "graph",
           .what = words,
           .train = on(graph),
           .to = "graph_none",
           .priority = priority});
    const std::string graph =
        base_.exchange.options.topology == "none" ? "full" : base_.exchange.options.topology;
    for (const int64_t n : {1, 2, 4, 8}) {
      if (n == agents) continue;
      const auto item = [&](const char* how, int64_t each, const char* words, int64_t priority) {
        ScoreItem i{.id = fmt::format("agents_{}_{}", n, how),
                    .axis = "scalability",
                    .role = "agents",
                    .what = fmt::format("{} agent{} in place of {}, {}", n, n == 1 ? "" : "s", agents, words),
                    .train = {fmt::format("agents={}", n), fmt::format("tasks={}", each),
                              "exchange.topology=" + (n > 1 ? graph : "none")},
                    .priority = priority};
        i.extra = {{"agents", n}};
        add(i);
      };
      const int64_t whole = agents * tasks;
      if (whole % n == 0) item("fleet", whole / n, "equal data for the fleet", n == 4 ? 1 : 3);
      item("each", tasks, "equal data for an agent", n <= 4 ? 3 : 6);
    }
  }

  const Experiment& base_;
  std::vector<ScoreItem> items_;
};

}  // namespace

std::vector<ScoreItem> score_items(const Experiment& base, const Config& file,
                                   const std::vector<std::string>& settings) {
  std::vector<ScoreItem> out = Plan(base).all();
  for (ScoreItem& item : out) item.common = fitting(file, settings, item.train);
  return out;
}

void check_item(const Config& file, const Experiment& base, ScoreItem& item) {
  const Config changed = laid_over(laid_over(laid_over(file, item.common), item.train), item.judge);
  try {
    const std::vector<Ask> one = asks_for(std::vector<int64_t>{kEveryone}, Rng(1));
    if (item.split != Split::kTest) (void)base.family->sample(*base.model, one, item.split);
    if (item.train.empty() && item.judge.empty()) return;
    const Experiment e = Experiment::build(changed);
    rehearse(e);
    if (e.spec.metric != base.spec.metric)
      item.left_out = fmt::format("its score is {} and not {}", e.spec.metric, base.spec.metric);
  } catch (const std::exception& refused) {
    item.left_out = std::string(refused.what()).substr(0, std::string(refused.what()).find('\n'));
  }
}

double base_seconds(const Experiment& e) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point t) {
    return std::chrono::duration<double>(Clock::now() - t).count();
  };
  RunState run = start_run(e);
  run_round(e, run);
  const auto start = Clock::now();
  int64_t rounds = 0;
  while (rounds < 3 || (since(start) < 1 && rounds < e.fleet.rounds)) run_round(e, run), ++rounds;
  const double round = since(start) / static_cast<double>(rounds);
  const auto judged = Clock::now();
  constexpr int64_t kSome = 20;
  const Subject subject{*e.learner, *e.model, *e.family, run.learner, {}};
  (void)evaluate(subject, Split::kTest, std::min(kSome, e.eval.tasks), e.eval.steps, false, Rng(1));
  const double task = since(judged) / static_cast<double>(std::min(kSome, e.eval.tasks));
  const int64_t times = e.fleet.rounds / e.validation_interval();
  const double validations = static_cast<double>(times * e.eval.validation_tasks);
  return 0.5 + round * static_cast<double>(e.fleet.rounds) +
         task * (static_cast<double>(e.eval.tasks) + validations);
}

}  // namespace symma
