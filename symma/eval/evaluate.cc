#include "symma/eval/evaluate.h"

#include "symma/core/numbers.h"
#include "symma/core/parallel.h"
#include "symma/eval/statistics.h"
#include "symma/learners/rows.h"
#include "symma/tasks/named.h"

namespace symma {

EvalResult evaluate(const Subject& subject, Split split, int64_t tasks, const std::vector<int64_t>& steps,
                    bool own_slice, Rng rng) {
  const int64_t agents = subject.state.size(), piece = piece_size(subject.model);
  const int64_t pieces = (tasks + piece - 1) / piece;
  std::vector<std::vector<Scores>> found(agents * pieces);        // [piece][step]
  std::vector<std::vector<std::string>> called(agents * pieces);  // [piece][task]
  parallel_for(agents * pieces, 1, [&](int64_t at, int64_t) {
    const int64_t agent = at / pieces, begin = at % pieces * piece, end = std::min(tasks, begin + piece);
    const int64_t whose = own_slice ? subject.state.id.data_ptr<int64_t>()[agent] : kEveryone;
    const auto asks = asks_for(std::vector<int64_t>(tasks, whose), rng.split("tasks"));
    const auto batch =
        subject.family.sample(subject.model, std::span(asks).subspan(begin, end - begin), split);
    if (const auto* named = dynamic_cast<const Named*>(batch.get())) called[at] = named->names();
    const auto rows =
        subject.learner.adapt(subject.state.rows(agent, agent + 1), *batch, steps, rng.split("adapt"));
    for (size_t s = 0; s < steps.size(); ++s) {
      found[at].push_back(batch->score(rows[s], rng.split("score")));
      for (auto& [name, score] : found[at].back()) score = score.to(at::kCPU, at::kDouble).contiguous();
    }
  });
  const int64_t* id = subject.state.id.data_ptr<int64_t>();
  EvalResult result{split, subject.family.spec().metric, steps, {}, {id, id + agents}, subject.counted};
  if (!called.empty() && !called[0].empty()) {
    result.names.resize(agents);
    for (int64_t at = 0; at < agents * pieces; ++at) {
      auto& of_agent = result.names[at / pieces];
      of_agent.insert(of_agent.end(), called[at].begin(), called[at].end());
    }
  }
  for (int64_t at = 0; at < agents * pieces; ++at) {
    for (size_t s = 0; s < steps.size(); ++s) {
      for (const auto& [name, score] : found[at][s]) {
        ScoreTable& table = result.all[name];
        if (table.empty()) table.assign(agents, std::vector(steps.size(), std::vector<double>(tasks)));
        std::copy_n(score.data_ptr<double>(), score.numel(),
                    table[at / pieces][s].begin() + at % pieces * piece);
      }
    }
  }
  return result;
}

Json eval_json(const EvalResult& r, const TaskSpec& spec, const std::string& protocol) {
  const ScoreTable& scores = r.scores();
  const size_t tasks = scores[0][0].size();
  std::vector<int64_t> counted = r.counted;
  if (counted.empty())
    for (size_t a = 0; a < scores.size(); ++a) counted.push_back(static_cast<int64_t>(a));
  Json out{{"split", split_name(r.split)}, {"metric", r.metric}, {"higher_is_better", spec.higher_is_better},
           {"protocol", protocol},         {"tasks", tasks},     {"steps", r.steps}};
  std::map<std::string, Json> columns;
  for (const char* key : {"mean", "ci95", "median", "q1", "q3", "diverged"}) columns[key] = Json::array();
  for (size_t s = 0; s < r.steps.size(); ++s) {
    // Agents share their tasks, so the tasks are the sample: first a task's mean over agents, then statistics
    // over tasks.
    std::vector<double> by_task(tasks);
    int diverged = 0;
    for (size_t t = 0; t < tasks; ++t) {
      for (int64_t a : counted) {
        by_task[t] += scores[a][s][t] / static_cast<double>(counted.size());
        diverged += !std::isfinite(scores[a][s][t]);
      }
    }
    const Summary all = summarise(by_task, spec.higher_is_better);
    columns["mean"].push_back(number(all.mean));
    columns["ci95"].push_back(number(all.ci95));
    columns["median"].push_back(number(all.median));
    columns["q1"].push_back(number(all.q1));
    columns["q3"].push_back(number(all.q3));
    columns["diverged"].push_back(diverged);
  }
  for (const char* key : {"mean", "ci95", "median", "q1", "q3", "diverged"}) out[key] = columns[key];
  Json per_agent = Json::array();
  for (const auto& agent : scores) {
    Json means = Json::array();
    for (const auto& of_step : agent) means.push_back(number(summarise(of_step, spec.higher_is_better).mean));
    per_agent.push_back(means);
  }
  out["per_agent"] = per_agent;
  for (int64_t place : r.counted) out["counted"].push_back(r.agents[place]);
  // Where agents are seeds of one experiment, they are the sample.
  Json mean = Json::array(), middle = Json::array(), interval = Json::array(), low = Json::array(),
       high = Json::array();
  for (size_t s = 0; s < r.steps.size(); ++s) {
    std::vector<double> means;
    means.reserve(counted.size());
    for (int64_t a : counted) means.push_back(summarise(scores[a][s], spec.higher_is_better).mean);
    const Summary all = summarise(means, spec.higher_is_better);
    mean.push_back(number(all.mean));
    middle.push_back(number(interquartile_mean(means)));
    interval.push_back(number(all.ci95));
    // A constant key: the same scores have the same interval. Of many agents fewer draws do.
    const int draws = static_cast<int>(std::clamp<size_t>(400000 / means.size(), 200, 2000));
    const auto [from, to] = all.diverged == 0
                                ? interquartile_interval({means}, Rng(0).split("bootstrap"), draws)
                                : std::pair(std::nan(""), std::nan(""));
    low.push_back(number(from));
    high.push_back(number(to));
  }
  out["over_agents"] = {
      {"mean", mean}, {"iqm", middle}, {"ci95", interval}, {"iqm_low", low}, {"iqm_high", high}};
  return out;
}

}  // namespace symma
