#include "symma/report/data.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace symma {

Json json_of(double x) {
  return std::isfinite(x) ? Json(x) : Json(nullptr);
}

Json list_of(const std::vector<double>& xs) {
  Json out = Json::array();
  for (const double x : xs) out.push_back(json_of(x));
  return out;
}

namespace {

constexpr size_t kMostRows = 2000;
constexpr double kWide = 8;  // greatest over least, from which an axis is logarithmic
constexpr int64_t kAgentsDrawn = 12;

std::vector<double> picked(const std::vector<double>& xs, const std::vector<size_t>& rows) {
  std::vector<double> out;
  out.reserve(rows.size());
  for (const size_t r : rows) out.push_back(xs[r]);
  return out;
}

bool wide(const std::vector<double>& xs) {
  double least = std::numeric_limits<double>::infinity(), most = 0;
  for (const double x : xs) {
    if (!std::isfinite(x)) continue;
    if (x <= 0) return false;
    least = std::min(least, x);
    most = std::max(most, x);
  }
  return most > kWide * least;
}

Json evaluation_data(const Evaluation& e) {
  std::vector<double> lower, upper;
  for (size_t s = 0; s < e.steps.size(); ++s) {
    lower.push_back(e.mean[s] - e.ci95[s]);
    upper.push_back(e.mean[s] + e.ci95[s]);
  }
  Json agents = Json::array();
  std::vector<double> all_agents;
  for (const auto& row : e.per_agent) {
    agents.push_back(list_of(row));
    all_agents.insert(all_agents.end(), row.begin(), row.end());
  }
  Json rules = Json::array();
  for (const auto& r : e.rules) rules.push_back({{"name", r.name}, {"mean", json_of(r.mean)}});
  return {{"chance", json_of(e.chance)}, {"rules", rules},
          {"metric", e.metric},          {"higher", e.higher_is_better},
          {"percent", e.percent()},      {"steps", e.steps},
          {"mean", list_of(e.mean)},     {"ci95", list_of(e.ci95)},
          {"lower", list_of(lower)},     {"upper", list_of(upper)},
          {"median", list_of(e.median)}, {"q1", list_of(e.q1)},
          {"q3", list_of(e.q3)},         {"per_agent", agents},
          {"log", wants_log({&e})},      {"log_agents", !e.percent() && wide(all_agents)}};
}

std::vector<size_t> kept_rows(const std::vector<double>& loss) {
  std::vector<size_t> rows(loss.size());
  std::iota(rows.begin(), rows.end(), size_t{0});
  if (loss.size() <= kMostRows) return rows;
  rows.clear();
  const size_t stretches = kMostRows / 2;
  for (size_t k = 0; k < stretches; ++k) {
    const size_t begin = k * loss.size() / stretches, end = (k + 1) * loss.size() / stretches;
    size_t least = begin, most = begin;
    for (size_t i = begin; i < end; ++i) {
      if (!std::isnan(loss[least]) && !(loss[i] >= loss[least]))
        least = i;  // a NaN is kept: the gap must show
      if (loss[i] > loss[most] || std::isnan(loss[most])) most = i;
    }
    rows.push_back(std::min(least, most));
    if (least != most) rows.push_back(std::max(least, most));
  }
  return rows;
}

Json training_data(const Run& run) {
  const Training& t = run.training;
  const auto rows = kept_rows(t.loss);
  Json out = {{"round", list_of(picked(t.round, rows))},
              {"seconds", list_of(picked(t.seconds, rows))},
              {"bits", list_of(picked(t.bits, rows))},
              {"env_steps", list_of(picked(t.env_steps, rows))},
              {"loss", list_of(picked(t.loss, rows))},
              {"disagreement", list_of(picked(t.disagreement, rows))},
              {"epsilon", list_of(picked(t.epsilon, rows))},
              {"thinned", rows.size() < t.loss.size()},
              {"log", wide(t.loss)}};
  out["scores"] = Json::object();
  for (const auto& [name, line] : t.scores)
    if (earned_score(name)) out["scores"][name] = list_of(picked(line, rows));
  const auto agents = static_cast<size_t>(run.agents);
  const bool complete = agents > 1 && !rows.empty() && std::all_of(rows.begin(), rows.end(), [&](size_t r) {
                          return t.loss_per_agent[r].size() == agents;
                        });
  if (!complete) return out;
  if (run.agents <= kAgentsDrawn) {
    Json lines = Json::array();
    for (size_t a = 0; a < agents; ++a) {
      std::vector<double> line;
      line.reserve(rows.size());
      for (const size_t r : rows) line.push_back(t.loss_per_agent[r][a]);
      lines.push_back(list_of(line));
    }
    out["loss_per_agent"] = lines;
    return out;
  }
  std::vector<double> least, middle, most;
  for (const size_t r : rows) {
    auto sorted = t.loss_per_agent[r];
    std::erase_if(sorted, [](double x) { return !std::isfinite(x); });
    std::sort(sorted.begin(), sorted.end());
    const double none = std::numeric_limits<double>::quiet_NaN();
    least.push_back(sorted.empty() ? none : sorted.front());
    middle.push_back(sorted.empty() ? none
                                    : (sorted[(sorted.size() - 1) / 2] + sorted[sorted.size() / 2]) / 2);
    most.push_back(sorted.empty() ? none : sorted.back());
  }
  out["loss_spread"] = {{"least", list_of(least)}, {"median", list_of(middle)}, {"most", list_of(most)}};
  return out;
}

Json validation_data(const Run& run) {
  const Training& t = run.training;
  std::vector<double> round, seconds, bits, env_steps, all, iqm, lower, upper;
  std::vector<std::vector<double>> mean(t.steps.size());
  for (const auto& v : t.validation) {
    round.push_back(v.round);
    seconds.push_back(v.seconds);
    bits.push_back(v.bits);
    env_steps.push_back(v.env_steps);
    if (!v.iqm.empty()) {
      iqm.push_back(v.iqm.back());
      lower.push_back(v.low.back());
      upper.push_back(v.high.back());
    }
    for (size_t s = 0; s < mean.size(); ++s) mean[s].push_back(v.mean[s]);
    all.insert(all.end(), v.mean.begin(), v.mean.end());
  }
  Json means = Json::array();
  for (const auto& line : mean) means.push_back(list_of(line));
  // Over agents, after the most steps of adaptation; only where every row has them.
  const bool spread = run.agents > 1 && iqm.size() == t.validation.size();
  return {
      {"metric", t.metric},
      {"spread", spread ? Json{{"iqm", list_of(iqm)}, {"lower", list_of(lower)}, {"upper", list_of(upper)}}
                        : Json(nullptr)},
      {"env_steps", list_of(env_steps)},
      {"steps", t.steps},
      {"percent", t.metric == "accuracy"},
      {"round", list_of(round)},
      {"seconds", list_of(seconds)},
      {"bits", list_of(bits)},
      {"mean", means},
      {"log", t.metric != "accuracy" && wide(all)}};
}

}  // namespace

bool earned_score(const std::string& name) {
  return name == "return" || name == "earned" || name.ends_with("_return");
}

bool wants_log(const std::vector<const Evaluation*>& all) {
  std::vector<double> shown;
  for (const Evaluation* e : all) {
    if (e->percent()) return false;
    for (const auto* list : {&e->mean, &e->median, &e->q1, &e->q3})
      shown.insert(shown.end(), list->begin(), list->end());
  }
  return wide(shown);
}

Json chart_data(const std::vector<Run>& runs) {
  Json list = Json::array();
  std::vector<std::pair<std::string, std::vector<size_t>>> groups;  // runs whose scores may stand on one axis
  for (size_t i = 0; i < runs.size(); ++i) {
    const Run& r = runs[i];
    list.push_back({{"name", r.name},
                    {"one", r.one()},
                    {"sent", json_of(r.exchange.bits)},
                    {"eval", r.eval ? evaluation_data(*r.eval) : Json(nullptr)},
                    {"ood", r.ood ? evaluation_data(*r.ood) : Json(nullptr)},
                    {"training", training_data(r)},
                    {"validation", validation_data(r)}});
    if (!r.eval) continue;
    auto at =
        std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == r.eval->metric; });
    if (at == groups.end()) at = groups.insert(at, {r.eval->metric, {}});
    at->second.push_back(i);
  }
  Json grouped = Json::array();
  for (const auto& [metric, members] : groups) {
    std::vector<const Evaluation*> all;
    for (const size_t i : members) all.push_back(&*runs[i].eval);
    grouped.push_back({{"metric", metric}, {"runs", members}, {"log", wants_log(all)}});
  }
  return {{"runs", list}, {"groups", grouped}};
}

}  // namespace symma
