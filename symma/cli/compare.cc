// symma compare RUN RUN ...: a table in the terminal. With --paired, two runs on the same tasks, task by
// task; with --columns, a meta-learner beside its rivals.
#include <fmt/format.h>

#include "symma/cli/columns.h"
#include "symma/cli/commands.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/report/data.h"
#include "symma/report/report.h"

namespace symma {
namespace {

struct CompareArguments {
  std::vector<std::string> runs;
  std::string metric;
  int64_t steps = 0;
  bool paired = false, columns = false, one_number = false, json = false;
};

// Whether higher is better of a score. Runs of older versions say it of their metric alone, and a loss goes
// one way wherever it comes from.
bool higher_is_better(const Judgement& j, const std::string& score) {
  const Json known = j.eval.value("directions", Json::object());
  if (known.contains(score)) return known[score].get<bool>();
  if (score == j.eval["metric"]) return j.eval["higher_is_better"].get<bool>();
  if (score.ends_with("loss")) return false;
  std::vector<std::string> names;
  for (const auto& [name, higher] : known.items()) names.push_back(name);
  throw UserError(j.run, "does not say whether more of \"" + score + "\" is better",
                  names.empty() ? "symma eval " + shell_word(j.run) + " judges the run and writes it"
                                : fmt::format("choose --metric among {}", fmt::join(names, ", ")));
}

Json pair_runs(const CompareArguments& a) {
  if (a.runs.size() != 2)
    throw UserError("symma compare --paired", fmt::format("got {} runs", a.runs.size()),
                    "name two of them, judged on the same tasks");
  ScoreFiles files;
  const auto &ones = judged(files, a.runs[0]), &twos = judged(files, a.runs[1]);
  const std::string both = a.runs[0] + " and " + a.runs[1];
  const auto found = same_tasks(files, a.runs[0], a.runs[1]);
  if (!found) {
    const std::string differs = tasks_differ(ones[0].eval["judged_on"], twos[0].eval["judged_on"]);
    throw UserError(both, "were not judged on the same tasks: " + differs,
                    "judge one as the other, by symma eval RUN --set ...");
  }
  const Judgement *one = &found->first, *two = &found->second;
  const std::string metric = a.metric.empty() ? one->eval["metric"].get<std::string>() : a.metric;
  const auto &of_a = files.scores(one->scores(), metric), &of_b = files.scores(two->scores(), metric);
  const Groups& groups = files.groups(one->scores());
  const bool higher = higher_is_better(*one, metric);
  Json rows = Json::array();
  std::string have;
  for (const auto& [steps, scores] : of_a) {
    const auto it = of_b.find(steps);
    if (it == of_b.end()) continue;
    have += (have.empty() ? "" : ", ") + std::to_string(steps);
    if (a.one_number && steps != a.steps) continue;
    if (scores.size() != it->second.size())
      throw UserError(both, "have scores of different numbers of tasks", "judge both again");
    const Paired p = compare_paired(scores, it->second, higher, groups);
    rows.push_back({{"steps", steps},
                    {"a", json_of(p.a)},
                    {"b", json_of(p.b)},
                    {"difference", json_of(p.difference)},
                    {"ci95", json_of(p.ci95)},
                    {"a_better", p.better},
                    {"told_apart", p.apart()}});
  }
  if (rows.empty())
    throw UserError(both,
                    have.empty() ? "were not judged after the same numbers of steps"
                                 : "were judged together after " + have + " steps",
                    have.empty() ? "judge both with the same eval.steps" : "choose --steps among these");
  Json out{{"a", in_folder(one->run, one->file)}, {"b", in_folder(two->run, two->file)}, {"metric", metric},
           {"higher_is_better", higher},          {"tasks", one->eval["tasks"]},         {"rows", rows}};
  if (groups.count > 0) {
    out["groups"] = groups.count;
    out["group_word"] = one->eval.value("group_word", "group");
  }
  return out;
}

std::string paired_table(const Json& p) {
  const auto show = [](const Json& x) {
    return x.is_null() ? std::string("-") : fmt::format("{:.4g}", x.get<double>());
  };
  std::string out = fmt::format("{} on the same {} test tasks{}, {} is better; ± is a 95% interval over {}\n",
                                p["metric"].get<std::string>(), p["tasks"].get<int64_t>(), groups_words(p),
                                p["higher_is_better"].get<bool>() ? "higher" : "lower",
                                p.contains("groups") ? "these groups" : "tasks");
  out +=
      fmt::format("  {:>5}  {:>9} {:>9}  {:>9} {:<9}  {:>8}\n", "steps", "A", "B", "A - B", "±", "A better");
  for (const auto& row : p["rows"])
    out += fmt::format("  {:>5}  {:>9} {:>9}  {:>9} {:<9}  {:>7.1f}%{}\n", row["steps"].get<int64_t>(),
                       show(row["a"]), show(row["b"]), show(row["difference"]), "± " + show(row["ci95"]),
                       100 * row["a_better"].get<double>(),
                       row["told_apart"].get<bool>() ? "" : "  not told apart");
  return out;
}

void run_compare(const CompareArguments& a) {
  if (a.columns) {
    const Json all = columns_of(a.runs);
    if (a.json)
      fmt::print("{}\n", all.dump());
    else
      fmt::print("{}", columns_table(all));
    return;
  }
  if (!a.paired) {
    if (a.json)
      fmt::print("{}\n", comparison_json(a.runs).dump());
    else
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
  c->add_flag("--columns", a->columns,
              "scratch, pooled, transfer, meta, oracle, told by the runs' learners or as NAME=RUN")
      ->excludes(paired);
  c->add_option("--metric", a->metric, "a score, by its name; the task's own unless given")->needs(paired);
  auto* steps = c->add_option("--steps", a->steps, "after this number of steps alone")->needs(paired);
  c->add_flag("--json", a->json, "as JSON");
  c->callback([a, steps] {
    a->one_number = steps->count() > 0;
    run_compare(*a);
  });
}

}  // namespace symma
