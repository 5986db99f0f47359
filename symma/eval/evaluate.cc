#include "symma/eval/evaluate.h"

#include <algorithm>

#include "symma/core/numbers.h"
#include "symma/core/parallel.h"
#include "symma/eval/scores.h"
#include "symma/eval/statistics.h"
#include "symma/learners/rows.h"
#include "symma/tasks/named.h"
#include "symma/tasks/supervised.h"

namespace symma {

namespace {

// Classes of a batch's tasks, by their labels: a family may train on more than it judges on. 0 for numbers.
int64_t ways_of(const TaskBatch& batch) {
  const auto* points = dynamic_cast<const SupervisedBatch*>(&batch);
  if (!points || points->kind() != Kind::kClassification) return 0;
  return std::max(points->data().support_y.max().item<int64_t>(),
                  points->data().query_y.max().item<int64_t>()) +
         1;
}

}  // namespace

EvalResult evaluate(const Subject& subject, Split split, int64_t tasks, const std::vector<int64_t>& steps,
                    bool own_slice, Rng rng) {
  const int64_t agents = subject.state.size(), piece = piece_size(subject.model);
  const int64_t pieces = (tasks + piece - 1) / piece;
  std::vector<std::vector<Scores>> found(agents * pieces);        // [piece][step]
  std::vector<std::vector<std::string>> called(agents * pieces);  // [piece][task]
  std::vector<int64_t> ways(agents * pieces);
  const auto judge = [&](int64_t at) {
    const int64_t agent = at / pieces, begin = at % pieces * piece, end = std::min(tasks, begin + piece);
    const int64_t whose = own_slice ? subject.state.id.data_ptr<int64_t>()[agent] : kEveryone;
    const auto asks = asks_for(std::vector<int64_t>(tasks, whose), rng.split("tasks"));
    const auto batch =
        carried_to(subject.state.theta,
                   subject.family.sample(subject.model, std::span(asks).subspan(begin, end - begin), split));
    if (const auto* named = dynamic_cast<const Named*>(batch.get())) called[at] = named->names();
    ways[at] = ways_of(*batch);
    const auto rows =
        subject.learner.adapt(subject.state.rows(agent, agent + 1), *batch, steps, rng.split("adapt"));
    for (size_t s = 0; s < steps.size(); ++s) {
      found[at].push_back(batch->score(rows[s], rng.split("score")));
      for (auto& [name, score] : found[at].back()) score = score.to(at::kCPU, at::kDouble).contiguous();
    }
  };
  if (subject.state.theta.is_cpu())
    parallel_for(agents * pieces, 1, [&](int64_t at, int64_t) { judge(at); });
  else  // libtorch's linear algebra for devices is loaded by whoever asks first, and not by two at a time
    for (int64_t at = 0; at < agents * pieces; ++at) judge(at);
  const int64_t* id = subject.state.id.data_ptr<int64_t>();
  EvalResult result{split, subject.family.spec().metric, steps, {}, {id, id + agents}, subject.counted};
  if (!called.empty() && !called[0].empty()) {
    result.names.resize(agents);
    for (int64_t at = 0; at < agents * pieces; ++at) {
      auto& of_agent = result.names[at / pieces];
      of_agent.insert(of_agent.end(), called[at].begin(), called[at].end());
    }
  }
  result.ways = *std::max_element(ways.begin(), ways.end());
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

namespace {

std::vector<int64_t> counted_of(const EvalResult& r) {
  std::vector<int64_t> counted = r.counted;
  if (counted.empty())
    for (size_t a = 0; a < r.scores().size(); ++a) counted.push_back(static_cast<int64_t>(a));
  return counted;
}

// From the first number of steps to the last, task by task.
Json change_json(const EvalResult& r, bool higher_is_better, const Groups& groups) {
  const Paired p =
      compare_paired(task_means(r, r.steps.size() - 1), task_means(r, 0), higher_is_better, groups);
  return {{"from", r.steps.front()}, {"to", r.steps.back()}, {"difference", number(p.difference)},
          {"ci95", number(p.ci95)},  {"better", p.better},   {"told_apart", p.apart()}};
}

// The agents as the sample, where they are seeds of one experiment. No bootstrap below five: of two values it
// covers half of what it claims.
Json over_agents(const EvalResult& r, bool higher_is_better, const Groups& groups) {
  constexpr size_t kFewest = 5;
  Json mean = Json::array(), middle = Json::array(), interval = Json::array(), low = Json::array(),
       high = Json::array();
  const auto counted = counted_of(r);
  for (size_t s = 0; s < r.steps.size(); ++s) {
    std::vector<double> means;
    means.reserve(counted.size());
    for (int64_t a : counted) means.push_back(summarise(r.scores()[a][s], higher_is_better, groups).mean);
    const Summary all = summarise(means, higher_is_better);
    mean.push_back(number(all.mean));
    middle.push_back(number(interquartile_mean(means)));
    interval.push_back(number(all.ci95));
    // Of many agents fewer draws do.
    const int draws = static_cast<int>(std::clamp<size_t>(400000 / means.size(), 200, 2000));
    const auto [from, to] = all.diverged == 0 && means.size() >= kFewest
                                ? interquartile_interval({means}, draws)
                                : std::pair(std::nan(""), std::nan(""));
    low.push_back(number(from));
    high.push_back(number(to));
  }
  return {{"mean", mean}, {"iqm", middle}, {"ci95", interval}, {"iqm_low", low}, {"iqm_high", high}};
}

}  // namespace

std::vector<double> task_means(const EvalResult& r, size_t step) {
  return task_means(r, step, r.metric);
}

std::vector<double> task_means(const EvalResult& r, size_t step, const std::string& metric) {
  const auto counted = counted_of(r);
  const ScoreTable& scores = r.all.at(metric);
  std::vector<double> out(scores[0][step].size());
  for (size_t t = 0; t < out.size(); ++t) {
    for (int64_t a : counted) out[t] += scores[a][step][t] / static_cast<double>(counted.size());
  }
  return out;
}

Groups groups_of(const EvalResult& r) {
  if (r.names.empty()) return {};
  std::vector<std::vector<std::string>> names;
  for (int64_t a : counted_of(r)) names.push_back(r.names[a]);
  return groups_together(names);
}

Json eval_json(const EvalResult& r, const TaskSpec& spec, const std::string& protocol) {
  const ScoreTable& scores = r.scores();
  const size_t tasks = scores[0][0].size();
  const bool higher = spec.higher_is_better;
  const Groups groups = groups_of(r);
  Json out{{"split", split_name(r.split)}, {"metric", r.metric}, {"higher_is_better", higher},
           {"protocol", protocol},         {"tasks", tasks},     {"steps", r.steps}};
  if (groups.count > 0) out["groups"] = groups.count;
  // What guessing reaches, where classes are equally likely.
  if (r.metric == "accuracy" && r.ways > 1) out["chance"] = 1.0 / static_cast<double>(r.ways);
  std::map<std::string, Json> columns;
  for (const char* key : {"mean", "ci95", "median", "q1", "q3", "diverged"}) columns[key] = Json::array();
  const auto counted = counted_of(r);
  for (size_t s = 0; s < r.steps.size(); ++s) {
    // Agents share their tasks, so the tasks are the sample: first a task's mean over agents, then statistics
    // over tasks, or over the groups that they are of.
    int diverged = 0;
    for (int64_t a : counted)
      for (double x : scores[a][s]) diverged += !std::isfinite(x);
    const Summary all = summarise(task_means(r, s), higher, groups);
    columns["mean"].push_back(number(all.mean));
    columns["ci95"].push_back(number(all.ci95));
    columns["median"].push_back(number(all.median));
    columns["q1"].push_back(number(all.q1));
    columns["q3"].push_back(number(all.q3));
    columns["diverged"].push_back(diverged);
  }
  for (const char* key : {"mean", "ci95", "median", "q1", "q3", "diverged"}) out[key] = columns[key];
  if (r.steps.size() > 1) out["change"] = change_json(r, higher, groups);
  Json per_agent = Json::array();
  for (const auto& agent : scores) {
    Json means = Json::array();
    for (const auto& of_step : agent) means.push_back(number(summarise(of_step, higher, groups).mean));
    per_agent.push_back(means);
  }
  out["per_agent"] = per_agent;
  for (int64_t place : r.counted) out["counted"].push_back(r.agents[place]);
  out["over_agents"] = over_agents(r, higher, groups);
  return out;
}

}  // namespace symma
