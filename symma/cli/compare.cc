// symma compare RUN RUN ...: a table in the terminal. With --paired, two runs on the same tasks, task by
// task.
#include <fmt/format.h>

#include <filesystem>

#include "symma/cli/commands.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/record.h"
#include "symma/eval/scores.h"
#include "symma/report/report.h"

namespace symma {
namespace {

struct CompareArguments {
  std::vector<std::string> runs;
  std::string metric;
  int64_t steps = 0;
  bool paired = false, one_number = false, json = false;
};

struct Judged {
  std::string run, file;  // summary.json, or eval.json of symma eval --set
  Json eval;
};

// How a run was judged, at its end and again.
std::vector<Judged> judgements(const std::string& run) {
  std::vector<Judged> out;
  for (const char* file : {"summary.json", "eval.json"}) {
    const std::string path = in_folder(run, file);
    if (!std::filesystem::exists(path)) continue;
    const Json all = parse_json(read_file(path));
    const Json eval = !all.is_object() ? Json() : all.contains("eval") ? all["eval"] : all;
    if (eval.is_object() && eval.contains("judged_on")) out.push_back({run, file, eval});
  }
  if (out.empty() && !std::filesystem::exists(in_folder(run, "experiment.toml")))
    throw UserError(run, "holds no run", "name a folder that symma train wrote");
  if (out.empty())
    throw UserError(run, "has no scores of single tasks",
                    "symma eval " + run + " judges the run and writes them");
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
  const auto ones = judgements(a.runs[0]), twos = judgements(a.runs[1]);
  const std::string both = a.runs[0] + " and " + a.runs[1];
  const Judged *one = nullptr, *two = nullptr;
  for (const auto& x : ones) {
    for (const auto& y : twos) {
      if (!one && difference(x.eval["judged_on"], y.eval["judged_on"]).empty()) one = &x, two = &y;
    }
  }
  if (!one) {
    const std::string differs = difference(ones[0].eval["judged_on"], twos[0].eval["judged_on"]);
    throw UserError(both, "were not judged on the same tasks: " + differs,
                    "judge one as the other, by symma eval RUN --set ...");
  }
  const std::string metric = a.metric.empty() ? one->eval["metric"].get<std::string>() : a.metric;
  const auto scores_of = [&](const Judged& j) {
    return read_scores(in_folder(j.run, j.file == "eval.json" ? "eval_scores.csv" : "scores.csv"), "test",
                       metric);
  };
  const auto of_a = scores_of(*one), of_b = scores_of(*two);
  // What else a task is scored by goes the same way, but for losses.
  const bool higher = one->eval["higher_is_better"].get<bool>() && !metric.ends_with("loss");
  Json rows = Json::array();
  std::string have;
  for (const auto& [steps, scores] : of_a) {
    const auto it = of_b.find(steps);
    if (it == of_b.end()) continue;
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
  return {{"a", in_folder(one->run, one->file)}, {"b", in_folder(two->run, two->file)}, {"metric", metric},
          {"higher_is_better", higher},          {"tasks", one->eval["tasks"]},         {"rows", rows}};
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
    fmt::print("A: {}\nB: {}\n{}", result["a"].get<std::string>(), result["b"].get<std::string>(),
               paired_table(result));
}

}  // namespace

void add_compare(CLI::App& app) {
  auto a = std::make_shared<CompareArguments>();
  auto* c = app.add_subcommand("compare", "scores of several runs, side by side or task by task");
  c->add_option("runs", a->runs, "folders of runs")->required();
  auto* paired = c->add_flag("--paired", a->paired, "two runs on the same tasks: what they differ by");
  c->add_option("--metric", a->metric, "a score, by its name; the task's own unless given")->needs(paired);
  auto* steps = c->add_option("--steps", a->steps, "after this number of steps alone")->needs(paired);
  c->add_flag("--json", a->json, "as JSON")->needs(paired);
  c->callback([a, steps] {
    a->one_number = steps->count() > 0;
    run_compare(*a);
  });
}

}  // namespace symma
