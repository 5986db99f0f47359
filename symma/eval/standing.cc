#include "symma/eval/standing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/record.h"

namespace symma {

std::string Judgement::scores() const {
  return in_folder(run, file == "eval.json" ? "eval_scores.csv" : "scores.csv");
}

namespace {

// What is read of an evaluation later is there and of its kind: a file that something else wrote, or that was
// damaged, is refused once.
void check_evaluation(const std::string& path, const Json& eval) {
  const auto is = [&](const char* key, bool good) {
    if (!good)
      throw UserError(path, fmt::format("\"{}\" of its evaluation is missing, or not what symma writes", key),
                      "judge the run again by symma eval, or leave it out");
  };
  const auto has = [&](const char* key, auto&& kind) { is(key, eval.contains(key) && kind(eval.at(key))); };
  const auto may_have = [&](const char* key, auto&& kind) {
    is(key, !eval.contains(key) || kind(eval.at(key)));
  };
  const auto word = [](const Json& x) { return x.is_string(); };
  const auto count = [](const Json& x) { return x.is_number_unsigned(); };
  has("judged_on", [](const Json& x) { return x.is_object(); });
  has("metric", word);
  has("higher_is_better", [](const Json& x) { return x.is_boolean(); });
  has("tasks", count);
  has("steps",
      [&](const Json& x) { return x.is_array() && !x.empty() && std::all_of(x.begin(), x.end(), count); });
  for (const char* key : {"mean", "ci95"})
    has(key, [&](const Json& x) {
      return x.is_array() && x.size() == eval.at("steps").size() &&
             std::all_of(x.begin(), x.end(), [](const Json& y) { return y.is_number() || y.is_null(); });
    });
  may_have("groups", count);
  may_have("group_word", word);
  may_have("directions", [](const Json& x) {
    return x.is_object() && std::all_of(x.begin(), x.end(), [](const Json& y) { return y.is_boolean(); });
  });
}

}  // namespace

std::vector<Judgement> judgements(const std::string& run) {
  std::vector<Judgement> out;
  std::string learner;
  Json settings;
  for (const char* file : {"summary.json", "eval.json"}) {
    const std::string path = in_folder(run, file);
    if (!is_there(path)) continue;
    const Json all = parse_json(read_file(path));
    if (all.is_object() && all.contains("learner")) {
      if (!all["learner"].is_string())
        throw UserError(path, "\"learner\" is not text", "name a folder that symma train wrote");
      learner = all["learner"];
    }
    if (all.is_object() && all.contains("settings")) settings = all["settings"];
    const Json eval = !all.is_object() ? Json() : all.contains("eval") ? all["eval"] : all;
    if (!eval.is_object() || !eval.contains("judged_on")) continue;
    check_evaluation(path, eval);
    out.push_back({run, file, eval, learner, settings});
  }
  if (out.empty() && !is_there(in_folder(run, "experiment.toml")) &&
      !is_there(in_folder(run, "summary.json")))
    throw UserError(run, "holds no run", "name a folder that symma train wrote");
  return out;
}

std::string tasks_differ(const Json& a, const Json& b) {
  if (a == b) return "";
  if (!a.is_object() || !b.is_object()) return fmt::format("({} and {})", a.dump(), b.dump());
  for (const Json* side : {&a, &b}) {
    for (const auto& [key, value] : side->items()) {
      const std::string differs = tasks_differ(a.value(key, Json()), b.value(key, Json()));
      if (!differs.empty()) return key + (differs[0] == '(' ? " " : ".") + differs;
    }
  }
  return "";
}

const std::map<int64_t, std::vector<double>>& ScoreFiles::scores(const std::string& path,
                                                                 const std::string& metric) {
  const auto key = std::pair(path, metric);
  if (const auto it = scores_.find(key); it != scores_.end()) return it->second;
  return scores_[key] = read_scores(path, "test", metric);
}

const Groups& ScoreFiles::groups(const std::string& path) {
  if (const auto it = groups_.find(path); it != groups_.end()) return it->second;
  return groups_[path] = groups_of(read_groups(path, "test"));
}

const std::vector<Judgement>& ScoreFiles::judgements(const std::string& run) {
  if (const auto it = judgements_.find(run); it != judgements_.end()) return it->second;
  return judgements_[run] = symma::judgements(run);
}

std::optional<std::pair<Judgement, Judgement>> same_tasks(ScoreFiles& files, const std::string& a,
                                                          const std::string& b) {
  for (const auto& x : files.judgements(a)) {
    for (const auto& y : files.judgements(b)) {
      if (tasks_differ(x.eval["judged_on"], y.eval["judged_on"]).empty()) return std::pair{x, y};
    }
  }
  return std::nullopt;
}

Gap gap(ScoreFiles& files, const Contender& a, const Contender& b, const std::string& metric, int64_t steps,
        bool higher_is_better) {
  const size_t seeds = a.of_seeds.size();
  if (seeds > 1 && seeds == b.of_seeds.size()) {
    const Paired p = compare_paired(a.of_seeds, b.of_seeds, higher_is_better);
    return {p.difference, p.ci95, "seeds"};
  }
  if (!a.run.empty() && !b.run.empty()) {
    const auto both = same_tasks(files, a.run, b.run);
    if (both && is_there(both->first.scores()) && is_there(both->second.scores())) {
      const auto &x = files.scores(both->first.scores(), metric),
                 &y = files.scores(both->second.scores(), metric);
      if (x.contains(steps) && y.contains(steps) && x.at(steps).size() == y.at(steps).size()) {
        const Groups& groups = files.groups(both->first.scores());
        const Paired p = compare_paired(x.at(steps), y.at(steps), higher_is_better, groups);
        return {p.difference, p.ci95, groups.count > 0 ? "groups" : "tasks"};
      }
    }
  }
  return {a.mean - b.mean, std::hypot(a.ci95, b.ci95), ""};
}

Standing standing(ScoreFiles& files, const std::vector<Contender>& all, const std::string& metric,
                  int64_t steps, bool higher_is_better) {
  Standing out;
  out.order.resize(all.size());
  std::iota(out.order.begin(), out.order.end(), size_t{0});
  const auto key = [&](size_t i) {
    return std::isfinite(all[i].mean) ? (higher_is_better ? -all[i].mean : all[i].mean) : INFINITY;
  };
  std::stable_sort(out.order.begin(), out.order.end(), [&](size_t a, size_t b) { return key(a) < key(b); });
  if (all.empty()) return out;
  std::vector<std::pair<size_t, Gap>> level, behind;
  for (size_t k = 1; k < all.size(); ++k) {
    const size_t i = out.order[k];
    const Gap g = gap(files, all[out.order[0]], all[i], metric, steps, higher_is_better);
    // What diverged is behind whatever did not.
    const bool lost = std::isfinite(all[out.order[0]].mean) && !std::isfinite(all[i].mean);
    (g.apart() || lost ? behind : level).emplace_back(i, g);
  }
  out.level = 1 + level.size();
  level.insert(level.end(), behind.begin(), behind.end());
  out.order.resize(1);
  out.behind.resize(1);
  for (const auto& [i, g] : level) out.order.push_back(i), out.behind.push_back(g);
  return out;
}

}  // namespace symma
