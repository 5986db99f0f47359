#include "symma/eval/seen.h"

#include "symma/core/numbers.h"
#include "symma/eval/statistics.h"

namespace symma {

Json in_units(const Json& eval, const Units& units) {
  Json out{{"target", units.target}, {"scale", units.scale}};
  const double square = units.scale * units.scale;
  const auto times = [&](const Json& list, const std::function<double(double)>& f) {
    Json all = Json::array();
    for (const Json& x : list) all.push_back(x.is_null() ? Json() : number(f(x.get<double>())));
    return all;
  };
  out["mse"] = times(eval["mean"], [&](double x) { return x * square; });
  out["ci95"] = times(eval["ci95"], [&](double x) { return x * square; });
  out["rmse"] = times(eval["mean"], [&](double x) { return std::sqrt(x) * units.scale; });
  return out;
}

Json trained_and_new(const EvalResult& r, const Remembers& family, bool higher_is_better) {
  const ScoreTable& scores = r.scores();
  std::vector<int64_t> counted = r.counted;
  if (counted.empty())
    for (size_t a = 0; a < scores.size(); ++a) counted.push_back(static_cast<int64_t>(a));
  for (const int64_t a : counted)
    if (r.names[a] != r.names[counted[0]]) return nullptr;
  const std::vector<std::string>& names = r.names[counted[0]];
  Json out = Json::object();
  for (const bool known : {true, false}) {
    std::vector<std::string> of;
    std::vector<size_t> tasks;
    for (size_t t = 0; t < names.size(); ++t) {
      if (family.trained_on(names[t]) != known) continue;
      of.push_back(names[t]);
      tasks.push_back(t);
    }
    const Groups groups = groups_of(of);
    if (known && tasks.empty()) return nullptr;
    Json mean = Json::array(), interval = Json::array();
    for (size_t s = 0; s < r.steps.size() && !tasks.empty(); ++s) {
      std::vector<double> by_task;
      for (const size_t t : tasks) {
        double sum = 0;
        for (const int64_t a : counted) sum += scores[a][s][t];
        by_task.push_back(sum / static_cast<double>(counted.size()));
      }
      const Summary all = summarise(by_task, higher_is_better, groups);
      mean.push_back(number(all.mean));
      interval.push_back(number(all.ci95));
    }
    out[known ? "trained_on" : "new"] = {
        {"groups", groups.count}, {"tasks", tasks.size()}, {"mean", mean}, {"ci95", interval}};
  }
  return out;
}

}  // namespace symma
