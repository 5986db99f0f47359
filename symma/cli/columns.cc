#include "symma/cli/columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "symma/core/errors.h"
#include "symma/eval/statistics.h"
#include "symma/report/data.h"

namespace symma {
namespace {

const std::vector<std::string> kColumns{"scratch", "pooled", "transfer", "meta", "oracle"};

struct OneRun {
  std::string folder;
  Json eval;
  Json settings;  // but the seed and words for people; null where the run does not say
  Json seed;
  // Where this number of steps stands among those that it was judged after.
  std::optional<size_t> place(int64_t steps) const {
    const Json& s = eval["steps"];
    const auto it = std::find(s.begin(), s.end(), Json(steps));
    return it == s.end() ? std::nullopt : std::optional<size_t>(it - s.begin());
  }
  // The mean after so many steps; of a run that does not adapt, after any.
  std::optional<std::pair<double, double>> at(int64_t steps) const {
    const auto there = place(steps);
    if (!there && (adapts() || eval["steps"][0] != 0)) return {};
    const auto number = [&](const char* name) {
      const Json& x = eval[name][there.value_or(0)];
      return x.is_number() ? x.get<double>() : std::nan("");
    };
    return std::pair(number("mean"), number("ci95"));
  }
  bool adapts() const { return eval["steps"].size() > 1; }
};

struct Columns {
  std::map<std::string, std::vector<OneRun>> of;
  std::set<int64_t> steps;
};

OneRun one_run(const std::string& folder, const Judgement& judgement) {
  OneRun out{folder, judgement.eval, judgement.settings, Json()};
  if (!out.settings.is_object() || !out.settings.contains("")) return out;
  Json& top = out.settings[""];
  out.seed = top.value("seed", Json());
  for (const char* key : {"seed", "name", "description"}) top.erase(key);
  return out;
}

// Runs of a column are its seeds, and a sample of nothing where anything else differs.
void check_seeds(const std::string& column, const std::vector<OneRun>& runs) {
  const auto refuse = [&](const OneRun& a, const OneRun& b, const std::string& why) {
    throw UserError(
        "symma compare --columns",
        fmt::format("{} and {} are both of {}, and {}", a.folder, b.folder, column, why),
        fmt::format("name one of them, or another column as {}=RUN; runs of one column are its seeds",
                    column == "oracle" ? "meta" : "oracle"));
  };
  for (size_t k = 1; k < runs.size(); ++k) {
    std::string differs = tasks_differ(runs[0].settings, runs[k].settings);
    if (differs.starts_with('.')) differs.erase(0, 1);  // of the top of the file
    if (!differs.empty()) refuse(runs[0], runs[k], "differ in " + differs);
    for (size_t j = 0; j < k; ++j)
      if (!runs[k].seed.is_null() && runs[j].seed == runs[k].seed)
        refuse(runs[j], runs[k], "of one seed, " + runs[k].seed.dump());
  }
}

std::vector<Json> seeds_of(const std::vector<OneRun>& runs) {
  std::vector<Json> out;
  for (const OneRun& run : runs) out.push_back(run.seed);
  return out;
}

Columns sort_out(ScoreFiles& files, const std::vector<std::string>& words) {
  Columns out;
  std::string metric, whose;
  for (const std::string& word : words) {
    const size_t mark = word.find('=');
    const std::string name = mark == std::string::npos ? "" : word.substr(0, mark);
    const std::string folder = mark == std::string::npos ? word : word.substr(mark + 1);
    if (mark != std::string::npos && std::find(kColumns.begin(), kColumns.end(), name) == kColumns.end())
      throw UserError("symma compare --columns", "there is no column " + name,
                      fmt::format("choose among {}", fmt::join(kColumns, ", ")));
    const Judgement& judgement = judged(files, folder).front();
    const OneRun run = one_run(folder, judgement);
    const std::string mine = run.eval["metric"];
    if (!metric.empty() && mine != metric)
      throw UserError(folder, "is judged by " + mine + ", and " + whose + " by " + metric,
                      "compare runs of one kind of task");
    metric = mine, whose = folder;
    for (const Json& s : run.eval["steps"]) out.steps.insert(s.get<int64_t>());
    if (!name.empty()) {
      out.of[name].push_back(run);
    } else if (run.eval.value("told", Json()) == true) {
      out.of["oracle"].push_back(run);
    } else if (judgement.learner == "pretrain") {
      OneRun pooled = run;  // before it adapts
      pooled.eval["steps"] = {0};
      if (run.eval["steps"][0] == 0) out.of["pooled"].push_back(pooled);
      if (run.adapts()) out.of["transfer"].push_back(run);
    } else {
      out.of[judgement.learner == "scratch" ? "scratch" : "meta"].push_back(run);
    }
  }
  for (auto& [name, runs] : out.of) {
    check_seeds(name, runs);
    // Pairs are of one seed, in whatever order the runs were named.
    std::stable_sort(runs.begin(), runs.end(),
                     [](const OneRun& a, const OneRun& b) { return a.seed < b.seed; });
  }
  return out;
}

// The mean over seeds with Student's t; of one run its own, over its tasks.
std::pair<double, double> joined(const std::vector<std::pair<double, double>>& of) {
  if (of.size() == 1) return of[0];
  std::vector<double> means;
  means.reserve(of.size());
  for (const auto& [mean, ci95] : of) means.push_back(mean);
  const Summary s = summarise(means, false);
  return {s.mean, s.ci95};
}

}  // namespace

const std::vector<Judgement>& judged(ScoreFiles& files, const std::string& run) {
  const std::vector<Judgement>& out = files.judgements(run);
  if (out.empty())
    throw UserError(run, "has no scores of single tasks",
                    "symma eval " + run + " judges the run and writes them");
  return out;
}

Json columns_of(const std::vector<std::string>& runs) {
  ScoreFiles files;
  const Columns c = sort_out(files, runs);
  const Json& first = c.of.begin()->second[0].eval;
  const bool higher = first["higher_is_better"].get<bool>();
  const std::string metric = first["metric"];
  Json names = Json::array(), folders = Json::object(), rows = Json::array(), gaps = Json::array();
  for (const std::string& name : kColumns) {
    if (!c.of.contains(name)) continue;
    names.push_back(name);
    for (const OneRun& run : c.of.at(name)) folders[name].push_back(run.folder);
  }
  for (const int64_t steps : c.steps) {
    Json row{{"steps", steps}};
    std::map<std::string, Contender> there;
    for (const auto& [name, of] : c.of) {
      std::vector<std::pair<double, double>> known;
      for (const OneRun& run : of)
        if (const auto at = run.at(steps)) known.push_back(*at);
      if (known.size() < of.size()) continue;
      const auto [mean, ci95] = joined(known);
      row[name] = {{"mean", json_of(mean)}, {"ci95", json_of(ci95)}};
      Contender who{.name = name, .run = "", .mean = mean, .ci95 = ci95, .of_seeds = {}};
      // Only a run that has these steps can be paired task by task.
      if (of.size() == 1 && of[0].place(steps)) who.run = of[0].folder;
      if (of.size() > 1 && c.of.contains("meta") && seeds_of(of) == seeds_of(c.of.at("meta")))
        for (const auto& [m, _] : known) who.of_seeds.push_back(m);
      there[name] = who;
    }
    rows.push_back(row);
    if (!there.contains("meta")) continue;
    for (const auto& [name, rival] : there) {
      if (name == "meta" || !std::isfinite(rival.mean) || !std::isfinite(there["meta"].mean)) continue;
      const Gap g = gap(files, there["meta"], rival, metric, steps, higher);
      gaps.push_back({{"steps", steps},
                      {"rival", name},
                      {"difference", json_of(g.difference)},
                      {"ci95", json_of(g.ci95)},
                      {"over", g.over},
                      {"told_apart", g.apart()}});
    }
  }
  return {{"metric", metric}, {"higher_is_better", higher},
          {"columns", names}, {"runs", folders},
          {"rows", rows},     {"gaps", gaps}};
}

std::string columns_table(const Json& all) {
  const auto show = [](const Json& x) {
    return x.is_null() ? std::string("-") : fmt::format("{:.4g}", x.get<double>());
  };
  bool seeds = false;
  for (const auto& [name, of] : all["runs"].items()) seeds = seeds || of.size() > 1;
  std::string out =
      fmt::format("{} on test tasks, {} is better; ± is a 95% interval over {}\n",
                  all["metric"].get<std::string>(), all["higher_is_better"].get<bool>() ? "higher" : "lower",
                  seeds ? "seeds where there are several, else tasks" : "tasks");
  out += fmt::format("  {:>5}", "steps");
  for (const Json& name : all["columns"]) out += fmt::format("  {:>20}", name.get<std::string>());
  out += "\n";
  for (const Json& row : all["rows"]) {
    out += fmt::format("  {:>5}", row["steps"].get<int64_t>());
    for (const Json& name : all["columns"]) {
      const Json cell = row.value(name.get<std::string>(), Json());
      out += fmt::format("  {:>20}",
                         cell.is_null() ? std::string("") : show(cell["mean"]) + " ± " + show(cell["ci95"]));
    }
    out += "\n";
  }
  const int64_t last = all["rows"].empty() ? 0 : all["rows"].back()["steps"].get<int64_t>();
  for (const Json& g : all["gaps"]) {
    if (g["steps"] != last) continue;
    out += fmt::format(
        "meta less {} after {} step{}: {} ± {}{}{}\n", g["rival"].get<std::string>(), last,
        last == 1 ? "" : "s", show(g["difference"]), show(g["ci95"]),
        g["over"].get<std::string>().empty() ? "" : ", in pairs over " + g["over"].get<std::string>(),
        g["told_apart"].get<bool>() ? "" : ": not told apart");
  }
  return out;
}

}  // namespace symma
