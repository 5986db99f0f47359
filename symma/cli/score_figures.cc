#include "symma/cli/score_figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "symma/cli/batch.h"
#include "symma/cli/commands.h"
#include "symma/cli/reopen.h"
#include "symma/core/files.h"
#include "symma/core/record.h"
#include "symma/eval/scores.h"
#include "symma/fleet/checkpoint.h"
#include "symma/fleet/summary.h"
#include "symma/report/data.h"
#include "symma/report/sweep_folder.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

// The standard deviation of a task's numbers, those to learn from and those to be judged on; 0 of one alone.
double spread_of(const Tensor& support, const Tensor& query) {
  const Tensor all = at::cat({support.flatten(), query.flatten()}).to(at::kDouble);
  const double spread = all.numel() > 1 ? all.std().item<double>() : 0;
  return std::isfinite(spread) ? spread : 0;
}

// Tasks whose support is disturbed before it is learned from, each by its own key.
class Disturbed : public TaskFamily {
 public:
  Disturbed(std::unique_ptr<TaskFamily> family, double inputs, double labels)
      : family_(std::move(family)), inputs_(inputs), labels_(labels) {}
  TaskSpec spec() const override { return family_->spec(); }
  std::unique_ptr<TaskBatch> sample(const Model& model, std::span<const Ask> asks,
                                    Split split) const override {
    const auto batch = family_->sample(model, asks, split);
    const auto& points = need<SupervisedBatch>(*batch, "noise");
    Episodes e = points.data();
    e.support_x = e.support_x.clone(), e.support_y = e.support_y.clone();
    const bool classes = points.kind() == Kind::kClassification;
    for (size_t b = 0; b < asks.size(); ++b) {
      const Rng rng = asks[b].key.split("disturbed");
      const auto at = static_cast<int64_t>(b);
      Tensor x = e.support_x[at], y = e.support_y[at];
      if (inputs_ > 0)
        x.add_(normal(rng.split("inputs"), x.sizes()).to(x.options()), inputs_ * spread_of(x, e.query_x[at]));
      if (labels_ > 0 && !classes)
        y.add_(normal(rng.split("targets"), y.sizes()).to(y.options()),
               labels_ * spread_of(y, e.query_y[at]));
      if (labels_ > 0 && classes) wrong_labels(y, Draws(rng.split("labels")));
    }
    return std::make_unique<SupervisedBatch>(model, points.kind(), std::move(e), points.mode());
  }

 private:
  // Each with the chance of being another of the task's labels.
  void wrong_labels(Tensor y, Draws d) const {
    const int64_t ways = y.max().item<int64_t>() + 1;
    int64_t* labels = y.data_ptr<int64_t>();
    for (int64_t k = 0; k < y.numel() && ways > 1; ++k)
      if (d.uniform() < labels_) labels[k] = (labels[k] + 1 + d.below(ways - 1)) % ways;
  }

  std::unique_ptr<TaskFamily> family_;
  double inputs_, labels_;
};

// What was found of an item: one number a seed, and of a single seed one a task.
struct Found {
  std::vector<double> seeds, tasks;
  std::vector<int64_t> which;  // the seed that each of `seeds` is of: those whose runs failed have none
  Groups groups;
  std::string judged_on;  // what makes the tasks; equal where tasks can be paired
  double bits = 0, seconds = 0;
};

std::string run_folder(const ScoreRuns& r, const std::string& name, int64_t seed) {
  return in_folder(r.folder, fmt::format("runs/{},seed={}", name, seed));
}

void judge_again(const ScoreRuns& r, const ScoreItem& item, const std::string& folder, Found& out) {
  Experiment e = open_experiment(folder, item.judge);
  const RunState run = load_checkpoint(in_folder(folder, "checkpoint.safetensors"), e);
  e.eval.steps = {e.eval.steps.back()};
  if (item.input_noise > 0 || item.label_noise > 0)
    e.family = std::make_unique<Disturbed>(std::move(e.family), item.input_noise, item.label_noise);
  EvalResult judged;
  if (item.newcomer < 0) {
    judged = judge(e, run.learner, item.split);
  } else {
    std::vector<int64_t> places;
    for (int64_t a = 0; a < e.fleet.agents; ++a)
      if (item.self == (a == item.newcomer)) places.push_back(a);
    State state = run.learner.rows(places);
    state.id = at::full_like(state.id, item.newcomer);  // whose slice they are judged on
    const Subject subject{*e.learner, *e.model, *e.family, state, {}};
    judged = evaluate(subject, item.split, e.eval.tasks, e.eval.steps, true, Rng(e.fleet.seed).split("test"));
  }
  const auto means = task_means(judged, 0);
  const Groups groups = groups_of(judged);
  const Summary over = summarise(means, e.spec.higher_is_better, groups);
  out.seeds.push_back(r.of == "median" ? over.median : over.mean);
  if (r.seeds > 1) return;
  out.tasks = means, out.groups = groups;
  // Noise leaves the tasks what they are; other shots and splits do not.
  const bool same = item.newcomer < 0 && item.split == Split::kTest && item.judge.empty();
  out.judged_on =
      same ? read_json(in_folder(folder, "summary.json"))["eval"]["judged_on"].dump()
           : Json{{"newcomer", item.newcomer}, {"split", split_name(item.split)}, {"judge", item.judge}}
                 .dump();
}

Found find(const ScoreRuns& r, const ScoreItem& item, const std::string& name) {
  Found out;
  for (int64_t seed = 1; seed <= r.seeds; ++seed) {
    const std::string folder = run_folder(r, name, seed);
    if (!is_done(folder)) continue;
    const Json summary = read_json(in_folder(folder, "summary.json"));
    out.which.push_back(seed);
    out.bits += summary["exchange"].value("bits", 0.0);
    out.seconds += summary["wall_s"].get<double>();
    if (!item.as_trained()) {
      judge_again(r, item, folder, out);
      continue;
    }
    const Json& eval = summary["eval"];
    const Json& last = eval[r.of].back();
    out.seeds.push_back(last.is_number() ? last.get<double>() : std::nan(""));
    if (r.seeds > 1) continue;
    const std::string csv = in_folder(folder, "scores.csv");
    out.judged_on = eval["judged_on"].dump();
    out.tasks = read_scores(csv, "test", eval["metric"].get<std::string>()).rbegin()->second;
    out.groups = groups_of(read_groups(csv, "test"));
  }
  const auto n = std::max(1.0, static_cast<double>(out.which.size()));
  out.bits /= n, out.seconds /= n;
  return out;
}

Json gap_json(const std::string& to, double difference, double ci95, const std::string& over) {
  return {{"to", to},
          {"difference", json_of(difference)},
          {"ci95", json_of(ci95)},
          {"over", over},
          {"told_apart", std::abs(difference) > ci95}};
}

Json gap_json(const Found& a, const Found& b, const std::string& to, bool higher) {
  // A seed stands beside itself, so those that failed on either side are in no pair.
  std::vector<double> x_seeds, y_seeds;
  for (size_t k = 0; k < a.which.size(); ++k) {
    const auto it = std::find(b.which.begin(), b.which.end(), a.which[k]);
    if (it == b.which.end()) continue;
    x_seeds.push_back(a.seeds[k]), y_seeds.push_back(b.seeds[static_cast<size_t>(it - b.which.begin())]);
  }
  if (x_seeds.size() > 1) {
    const Paired p = compare_paired(x_seeds, y_seeds, higher);
    return gap_json(to, p.difference, p.ci95, "seeds");
  }
  if (a.tasks.empty() || b.tasks.empty()) return nullptr;
  if (a.tasks.size() == b.tasks.size() && a.judged_on == b.judged_on) {
    const Paired p = compare_paired(a.tasks, b.tasks, higher, a.groups);
    return gap_json(to, p.difference, p.ci95, "tasks");
  }
  const Summary x = summarise(a.tasks, higher, a.groups), y = summarise(b.tasks, higher, b.groups);
  return gap_json(to, x.mean - y.mean, std::hypot(x.ci95, y.ci95), "unpaired tasks");
}

// What makes the figure again: a sweep over the seeds, or where runs are judged in a way of the scorecard's
// own, the scorecard with this figure alone. In a folder of its own, since the scorecard's holds another.
std::string command_of(const ScoreRuns& r, const ScoreItem& item) {
  std::string out = "symma " + std::string(item.as_trained() ? "sweep " : "scorecard ") + shell_word(r.file);
  for (const auto& s : item.as_trained() ? item.common : r.settings)
    if (!s.starts_with("rounds=")) out += " --set " + shell_word(s);
  out += fmt::format(" --set rounds={}", r.rounds);
  const std::string folder = " --out " + shell_word(r.folder + "-" + item.id);
  if (!item.as_trained())
    return out + fmt::format(" --seeds {} --of {} --only {}", r.seeds, r.of, item.id) + folder;
  for (const auto& s : item.train) out += " --set " + shell_word(s);
  return out + fmt::format(" --over seed=1..{}", r.seeds) + folder;
}

// How many points a task shows while training; 0 where it has none.
double points_of(const Experiment& e) {
  const std::vector<Ask> one = asks_for(std::vector<int64_t>{kEveryone}, Rng(1));
  const auto batch = e.family->sample(*e.model, one, Split::kTrain);
  const auto* points = dynamic_cast<const SupervisedBatch*>(batch.get());
  if (!points) return 0;
  return static_cast<double>(points->data().support_x.size(1) + points->data().query_x.size(1));
}

// What a run took until validation had come nine tenths of its way from its first to its last, and how many
// steps of adaptation do nine tenths of what the most do, with the area under that curve. Nothing where
// things did not improve.
std::map<std::string, double> speed_of(const std::string& folder, const std::string& of, double points,
                                       bool higher) {
  std::map<std::string, double> out;
  // The share of the way from `first` to `last`; not a number where that is no improvement.
  const auto way = [&](double first, double x, double last) {
    return (higher ? last > first : last < first) ? (x - first) / (last - first) : std::nan("");
  };
  std::vector<Json> rows;
  for (const Json& row : read_records(in_folder(folder, "metrics.jsonl")))
    if (row.contains("validation") && !row["validation"]["mean"].empty() &&
        row["validation"]["mean"].back().is_number())
      rows.push_back(row);
  const auto score = [](const Json& row) { return row["validation"]["mean"].back().get<double>(); };
  for (const Json& row : rows) {
    if (rows.size() < 3 || !(way(score(rows.front()), score(row), score(rows.back())) >= 0.9)) continue;
    for (const char* key : {"tasks", "seconds", "bits", "env_steps"})
      if (row.contains(key)) out[key] = row[key].get<double>();
    if (points > 0) out["examples"] = out["tasks"] * points;
    break;
  }
  const Json eval = read_json(in_folder(folder, "summary.json"))["eval"];
  std::vector<double> mean;
  for (const Json& m : eval[of]) mean.push_back(m.is_number() ? m.get<double>() : std::nan(""));
  const auto steps = eval["steps"].get<std::vector<double>>();
  if (steps.size() < 2) return out;
  double area = 0;
  for (size_t s = 0; s + 1 < steps.size(); ++s)
    area += (mean[s] + mean[s + 1]) / 2 * (steps[s + 1] - steps[s]) / (steps.back() - steps.front());
  if (std::isfinite(area)) out["area"] = area;
  if (steps.front() != 0) return out;  // what adapting brings is counted from none of it
  for (size_t s = 0; s < steps.size(); ++s) {
    if (!(way(mean.front(), mean[s], mean.back()) >= 0.9)) continue;
    out["steps"] = steps[s];
    break;
  }
  return out;
}

void add_speed(const ScoreRuns& r, const ScoreItem& item, const std::string& name, double points, bool higher,
               Json& figures) {
  std::map<std::string, std::vector<double>> all;
  for (int64_t seed = 1; seed <= r.seeds; ++seed) {
    const std::string folder = run_folder(r, name, seed);
    if (!is_done(folder)) continue;
    for (const auto& [key, value] : speed_of(folder, r.of, points, higher)) all[key].push_back(value);
  }
  struct Kind {
    const char *key, *what, *unit;
    bool told;
  };
  const bool base = item.id == "base";
  for (const Kind& k :
       {Kind{"examples", "Nine tenths of what training brings to unseen tasks, after", "examples", true},
        Kind{"tasks", "the same, in tasks", "tasks", points == 0},
        Kind{"env_steps", "the same, in steps of the world", "steps of the world", false},
        Kind{"seconds", "the same, in time", "seconds", false},
        Kind{"bits", "the same, in what was sent", "bits", false},
        Kind{"steps", "Nine tenths of what adapting to a task brings, after", "steps", true},
        Kind{"area", "the score along the adaptation curve, on average", "", false}}) {
    const auto& x = all[k.key];
    if (x.empty() || (std::string(k.key) == "bits" && x.back() == 0)) continue;
    const Summary s = summarise(x, false);
    Json f{{"id", item.id + "_" + k.key},
           {"axis", "efficiency"},
           {"role", base && k.told ? "speed" : "detail"},
           {"what", (base ? "" : item.what + ": ") + k.what},
           {"mean", json_of(s.mean)},
           {"ci95", json_of(s.ci95)},
           {"over", "seeds"},
           {"n", x.size()},
           {"command", command_of(r, item)},
           {"gap", nullptr}};
    if (*k.unit) f["unit"] = k.unit;
    figures.push_back(f);
  }
}

// What simple rules reach on the tasks of the file's own runs, over seeds.
void add_rules(const ScoreRuns& r, const ScoreItem& item, const Found& base, bool higher, Json& figures) {
  if (r.of != "mean") return;  // of rules the means alone are known
  std::map<std::string, Found> all;
  for (int64_t seed = 1; seed <= r.seeds; ++seed) {
    const std::string folder = run_folder(r, "base", seed);
    if (!is_done(folder)) continue;
    const Json rules = read_json(in_folder(folder, "summary.json"))["eval"].value("rules", Json::object());
    for (const auto& [name, rule] : rules.items())
      if (rule.value("mean", Json()).is_number())
        all[name].seeds.push_back(rule["mean"].get<double>()), all[name].which.push_back(seed);
  }
  for (const auto& [name, found] : all) {
    const Summary s = summarise(found.seeds, higher);
    figures.push_back({{"id", "rule_" + name},
                       {"axis", "efficiency"},
                       {"role", "rival"},
                       {"what", "The simple rule \"" + name + "\""},
                       {"mean", json_of(s.mean)},
                       {"ci95", json_of(s.ci95)},
                       {"over", "seeds"},
                       {"n", found.seeds.size()},
                       {"command", command_of(r, item)},
                       {"gap", gap_json(found, base, "base", higher)}});
  }
}

}  // namespace

std::map<std::string, std::string> trained_as(const std::vector<ScoreItem>& items) {
  std::map<std::vector<std::string>, std::string> first{{{}, "base"}};
  std::map<std::string, std::string> out;
  for (const auto& item : items) out[item.id] = first.emplace(item.train, item.id).first->second;
  return out;
}

Json score_figures(const ScoreRuns& r, const Experiment& base, const std::vector<ScoreItem>& items) {
  const auto names = trained_as(items);
  const bool higher = base.spec.higher_is_better;
  const double points = points_of(base);
  std::map<std::string, Found> found;
  for (const auto& item : items) found[item.id] = find(r, item, names.at(item.id));
  Json figures = Json::array();
  for (const auto& item : items) {
    const Found& f = found[item.id];
    if (f.seeds.empty()) continue;
    const Summary s = r.seeds > 1 ? summarise(f.seeds, higher) : summarise(f.tasks, higher, f.groups);
    Json one{{"id", item.id},
             {"axis", item.axis},
             {"role", item.role},
             {"what", item.what},
             {"mean", json_of(s.mean)},
             {"ci95", json_of(s.ci95)},
             {"over", r.seeds > 1 ? "seeds" : "tasks"},
             {"n", r.seeds > 1 ? f.seeds.size() : f.tasks.size()},
             {"of_seeds", list_of(f.seeds)},
             {"command", command_of(r, item)},
             {"bits", f.bits},
             {"seconds", f.seconds},
             {"gap", nullptr}};
    one.update(item.extra);
    const auto to = found.find(item.to);
    if (to != found.end() && item.id != "base") one["gap"] = gap_json(f, to->second, item.to, higher);
    figures.push_back(one);
    if (item.id == "base" || item.role == "rival")
      add_speed(r, item, names.at(item.id), points, higher, figures);
    if (item.id == "base") add_rules(r, item, f, higher, figures);
  }
  return figures;
}

Json before_adapting(const ScoreRuns& r) {
  for (int64_t seed = 1; seed <= r.seeds; ++seed) {
    const std::string folder = run_folder(r, "base", seed);
    if (!is_done(folder)) continue;
    const Json eval = read_json(in_folder(folder, "summary.json"))["eval"];
    if (eval["steps"].size() > 1 && eval["steps"][0] == 0) return eval[r.of].front();
  }
  return nullptr;
}

Json ruled_by_few(const ScoreRuns& r) {
  for (int64_t seed = 1; r.of == "mean" && seed <= r.seeds; ++seed) {
    const std::string folder = run_folder(r, "base", seed);
    if (!is_done(folder)) continue;
    const Json eval = read_json(in_folder(folder, "summary.json"))["eval"];
    const Json &mean = eval["mean"].back(), &median = eval["median"].back();
    if (!median.is_number() || eval["higher_is_better"] == true) continue;
    if (!mean.is_number() || mean.get<double>() > 100 * std::abs(median.get<double>()))
      return {{"seed", seed}, {"mean", mean}, {"median", median}};
  }
  return nullptr;
}

}  // namespace symma
