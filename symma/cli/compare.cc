// symma compare RUN RUN ...: a table in the terminal. With --paired, two runs on the same tasks, task by
// task.
#include <fmt/format.h>

#include "symma/cli/commands.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/eval/scores.h"
#include "symma/report/report.h"

namespace symma {
namespace {

struct CompareArguments {
  std::vector<std::string> runs;
  std::string metric;
  int64_t steps = 0;
  bool paired = false, again = false, one_number = false, json = false;
};

struct Judged {
  Json eval;
  std::map<int64_t, std::vector<double>> scores;
};

// What summary.json, or eval.json, says of the test, and the scores beside it.
Judged read_judged(const std::string& run, const CompareArguments& a) {
  const std::string file = in_folder(run, a.again ? "eval.json" : "summary.json");
  const std::string remedy = a.again
                                 ? "symma eval " + run + " --set eval.tasks=N writes it, beside its scores"
                                 : "symma eval " + run + " judges the run and writes it, beside its scores";
  Json all;
  try {
    all = Json::parse(read_file(file), nullptr, false);
  } catch (const UserError&) {
    throw UserError(file, "is not there", remedy);
  }
  if (!all.is_object()) throw UserError(file, "is damaged", remedy);
  Judged out{a.again ? all : all.value("eval", Json::object()), {}};
  if (!out.eval.contains("judged_on")) throw UserError(file, "does not say which tasks it is of", remedy);
  const std::string metric = a.metric.empty() ? out.eval["metric"].get<std::string>() : a.metric;
  out.scores = read_scores(in_folder(run, a.again ? "eval_scores.csv" : "scores.csv"), "test", metric);
  return out;
}

// The first thing by which the tasks of two runs differ, as "seed (1 and 2)"; "" where they are the same.
std::string difference(const Json& a, const Json& b) {
  const auto differ = [](const std::string& name, const Json& x, const Json& y) {
    return fmt::format("{} ({} and {})", name, x.dump(), y.dump());
  };
  for (const auto& [key, x] : a.items()) {
    const Json y = b.value(key, Json());
    if (x == y) continue;
    if (key != "task") return differ(key, x, y);
    for (const auto& [option, value] : x.items()) {
      if (value != y.value(option, Json())) return differ("task." + option, value, y.value(option, Json()));
    }
    return differ("task.kind", x["kind"], y["kind"]);
  }
  return "";
}

Json pair_runs(const CompareArguments& a) {
  if (a.runs.size() != 2)
    throw UserError("symma compare --paired", fmt::format("got {} runs", a.runs.size()),
                    "name two of them, judged on the same tasks");
  const Judged one = read_judged(a.runs[0], a), two = read_judged(a.runs[1], a);
  const std::string both = a.runs[0] + " and " + a.runs[1];
  const std::string differs = difference(one.eval["judged_on"], two.eval["judged_on"]);
  if (differs.starts_with("piece"))
    throw UserError(
        both, "were not judged on the same tasks: these go by the size of the model, " + differs,
        "judge both on fewer tasks, by symma eval RUN --set eval.tasks=N, and compare with --eval");
  if (!differs.empty())
    throw UserError(both, "were not judged on the same tasks: " + differs,
                    "judge both alike, by symma eval RUN --set ..., and compare with --eval");
  const bool higher = one.eval["higher_is_better"];
  Json rows = Json::array();
  std::string have;
  for (const auto& [steps, scores] : one.scores) {
    const auto it = two.scores.find(steps);
    if (it == two.scores.end()) continue;
    have += (have.empty() ? "" : ", ") + std::to_string(steps);
    if (a.one_number && steps != a.steps) continue;
    if (scores.size() != it->second.size())
      throw UserError(both, "have scores of different numbers of tasks", "judge both again");
    const Paired p = compare_paired(scores, it->second, higher);
    const auto number = [](double x) { return std::isfinite(x) ? Json(x) : Json(nullptr); };
    rows.push_back({{"steps", steps},
                    {"a", number(p.a)},
                    {"b", number(p.b)},
                    {"difference", number(p.difference)},
                    {"ci95", number(p.ci95)},
                    {"a_better", p.better}});
  }
  if (rows.empty())
    throw UserError(both,
                    have.empty() ? "were not judged after the same numbers of steps"
                                 : "were judged together after " + have + " steps",
                    have.empty() ? "judge both with the same eval.steps" : "choose --steps among these");
  return {{"metric", a.metric.empty() ? one.eval["metric"] : Json(a.metric)},
          {"higher_is_better", higher},
          {"tasks", one.eval["tasks"]},
          {"rows", rows}};
}

std::string paired_table(const Json& p) {
  const auto show = [](const Json& x) {
    return x.is_null() ? std::string("diverged") : fmt::format("{:.4g}", x.get<double>());
  };
  std::string out =
      fmt::format("{} on the same {} test tasks, {} is better; ± is a 95% interval over tasks\n",
                  p["metric"].get<std::string>(), p["tasks"].get<int64_t>(),
                  p["higher_is_better"].get<bool>() ? "higher" : "lower");
  out +=
      fmt::format("  {:>5}  {:>9} {:>9}  {:>9} {:<9}  {:>8}\n", "steps", "A", "B", "A - B", "±", "A better");
  for (const auto& row : p["rows"])
    out += fmt::format("  {:>5}  {:>9} {:>9}  {:>9} {:<9}  {:>7.1f}%\n", row["steps"].get<int64_t>(),
                       show(row["a"]), show(row["b"]), show(row["difference"]), "± " + show(row["ci95"]),
                       100 * row["a_better"].get<double>());
  return out;
}

void run_compare(const CompareArguments& a) {
  if (!a.paired) {
    fmt::print("{}", comparison_table(a.runs));
    return;
  }
  const Json result = pair_runs(a);
  if (a.json)
    fmt::print("{}\n", result.dump());
  else
    fmt::print("A: {}\nB: {}\n{}", a.runs[0], a.runs[1], paired_table(result));
}

}  // namespace

void add_compare(CLI::App& app) {
  auto a = std::make_shared<CompareArguments>();
  auto* c = app.add_subcommand("compare", "scores of several runs, side by side or task by task");
  c->add_option("runs", a->runs, "folders of runs")->required();
  auto* paired = c->add_flag("--paired", a->paired, "two runs on the same tasks: what they differ by");
  c->add_option("--metric", a->metric, "a score, by its name; the task's own unless given")->needs(paired);
  auto* steps = c->add_option("--steps", a->steps, "after this number of steps alone")->needs(paired);
  c->add_flag("--eval", a->again, "as symma eval --set judged them last, rather than at the end of the run")
      ->needs(paired);
  c->add_flag("--json", a->json, "as JSON")->needs(paired);
  c->callback([a, steps] {
    a->one_number = steps->count() > 0;
    run_compare(*a);
  });
}

}  // namespace symma
