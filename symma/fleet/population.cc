#include "symma/fleet/population.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "symma/core/errors.h"
#include "symma/eval/evaluate.h"
#include "symma/eval/statistics.h"
#include "symma/fleet/experiment.h"
#include "symma/learners/own_settings.h"

namespace symma {
namespace {

// Even in the logarithm.
double drawn_between(double low, double high, double u) {
  return low * std::pow(high / low, u);
}

Json numbers(const std::vector<double>& xs) {
  Json out = Json::array();
  for (const double x : xs) out.push_back(std::isfinite(x) ? Json(x) : Json(nullptr));
  return out;
}

// The values in the beginning, [N, S].
Tensor beginning(const Experiment& e, const std::vector<double>& of_file) {
  const PopulationOptions& p = e.population;
  const auto s = static_cast<int64_t>(of_file.size());
  Tensor out = at::empty({e.fleet.agents, s}, at::kDouble);
  for (int64_t i = 0; i < e.fleet.agents; ++i) {
    Draws d(Rng(e.fleet.seed).split("population").split("start", static_cast<uint64_t>(i)));
    for (int64_t j = 0; j < s; ++j)
      out[i][j] = p.start == "file" ? of_file[j] : drawn_between(p.low[j], p.high[j], d.uniform());
  }
  return out;
}

// Each agent's mean score on validation tasks, after the most steps of adaptation that the test asks for:
// [N].
std::vector<double> judge(const Experiment& e, const State& state, Rng rng) {
  const Subject subject{*e.learner, *e.model, *e.family, state};
  const auto result =
      evaluate(subject, Split::kValidation, e.population.tasks, {e.eval.steps.back()}, false, rng);
  std::vector<double> out;
  for (const auto& agent : result.scores()) out.push_back(summarise(agent[0], e.spec.higher_is_better).mean);
  return out;
}

Json settings_of(const Experiment& e, const State& state) {
  const Tensor now = state.own.at(OwnSettings::kKey).to(at::kCPU, at::kDouble);
  Json out = Json::object();
  for (size_t j = 0; j < e.population.settings.size(); ++j) {
    const Tensor column = now.select(1, static_cast<int64_t>(j)).contiguous();
    out[e.population.settings[j]] =
        numbers({column.data_ptr<double>(), column.data_ptr<double>() + column.numel()});
  }
  return out;
}

// Agents from the best to the worst; of equals, the lower number first.
std::vector<int64_t> ranked(const std::vector<double>& score, bool higher_is_better) {
  std::vector<int64_t> order(score.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  const auto badness = [&](int64_t i) {
    return !std::isfinite(score[i]) ? INFINITY : higher_is_better ? -score[i] : score[i];
  };
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return badness(a) < badness(b); });
  return order;
}

}  // namespace

std::unique_ptr<Learner> population_learner(const Experiment& e, const Config& config,
                                            const LearnerSetting& setting) {
  const PopulationOptions& p = e.population;
  const std::string section = "population";
  const auto no = [&](const char* key, const std::string& wrong, const std::string& remedy) {
    throw UserError(config.place(section, key), wrong, remedy);
  };
  auto draft = e.chosen.learner.draft();
  if (p.factors.empty()) no("factors", "is empty", "write for example [0.8, 1.2]");
  Fields theirs;
  draft->fields(theirs);
  std::vector<std::string> possible;
  for (const Field& f : theirs.list()) {
    if (std::holds_alternative<double*>(f.target) || std::holds_alternative<int64_t*>(f.target))
      possible.push_back(f.name);
  }
  std::vector<double> of_file;
  for (size_t j = 0; j < p.settings.size(); ++j) {
    const std::string& name = p.settings[j];
    if (std::find(possible.begin(), possible.end(), name) == possible.end())
      no("settings",
         fmt::format("\"{}\" is no number among the options of \"{}\"", name, e.chosen.learner.kind()),
         suggestion(name, possible));
    if (std::count(p.settings.begin(), p.settings.end(), name) > 1)
      no("settings", fmt::format("\"{}\" is there twice", name), "name it once");
    const auto it = std::find_if(theirs.list().begin(), theirs.list().end(),
                                 [&](const Field& f) { return f.name == name; });
    of_file.push_back(it->value().get<double>());
    for (const auto& [key, bound] : {std::pair{"low", &p.low}, {"high", &p.high}}) {
      if (bound->size() != p.settings.size())
        no(key, fmt::format("has {} values for {} settings", bound->size(), p.settings.size()),
           "give one for each, in the same order");
      // Whatever lies between two values that the learner takes, it takes.
      const double value = (*bound)[j];
      const bool whole = std::holds_alternative<int64_t*>(it->target);
      const auto copy = LearnerRegistry::instance().draft(e.chosen.learner.kind(), section);
      Fields tried;
      copy->fields(tried);
      Config::of({{name, whole ? Json(std::llround(value)) : Json(value)}}, config.place(section, key))
          .read("", tried);
    }
    if (p.low[j] > p.high[j])
      no("low", fmt::format("of \"{}\" is {}, above its high, {}", name, p.low[j], p.high[j]),
         "turn the two around");
    if (p.start == "file" && !(of_file[j] >= p.low[j] && of_file[j] <= p.high[j]))
      no("start",
         fmt::format("the learner's {} is {}, outside {} to {}", name, of_file[j], p.low[j], p.high[j]),
         "widen low and high, or set start to drawn");
  }
  return std::make_unique<OwnSettings>(std::move(draft), p.settings, beginning(e, of_file), setting);
}

std::vector<int64_t> choose_parents(const PopulationOptions& p, const std::vector<double>& score,
                                    bool higher_is_better, Rng rng) {
  const auto n = static_cast<int64_t>(score.size());
  const auto order = ranked(score, higher_is_better);
  std::vector<int64_t> out(n);
  std::iota(out.begin(), out.end(), int64_t{0});
  Draws d(rng);
  if (p.select == "truncation") {
    const int64_t cut =
        std::clamp<int64_t>(std::llround(p.worst * static_cast<double>(n)), 1, std::max<int64_t>(1, n / 2));
    for (int64_t k = n - cut; k < n; ++k) out[order[k]] = order[d.below(cut)];
    return out;
  }
  std::vector<int64_t> rank(n);
  for (int64_t k = 0; k < n; ++k) rank[order[k]] = k;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t drawn = d.below(n - 1), other = drawn < i ? drawn : drawn + 1;
    if (rank[other] < rank[i]) out[i] = other;
  }
  return out;
}

Tensor explore(const PopulationOptions& p, const Tensor& settings, const std::vector<int64_t>& parents,
               Rng rng) {
  Tensor out = settings.to(at::kCPU, at::kDouble).clone();
  for (int64_t i = 0; i < out.size(0); ++i) {
    if (parents[i] == i) continue;
    Draws d(rng.split("agent", static_cast<uint64_t>(i)));
    for (int64_t j = 0; j < out.size(1); ++j) {
      const double low = p.low[j], high = p.high[j];
      const bool anew = d.uniform() < p.resample;
      const double value =
          anew ? drawn_between(low, high, d.uniform())
               : out[i][j].item<double>() * p.factors[d.below(static_cast<int64_t>(p.factors.size()))];
      out[i][j] = std::clamp(value, low, high);
    }
  }
  return out.to(settings.device());
}

Json select(const Experiment& e, State& state, int64_t round) {
  const Rng rng = Rng(e.fleet.seed).split("population").split("round", static_cast<uint64_t>(round));
  const auto score = judge(e, state, rng.split("judge"));
  const auto parents = choose_parents(e.population, score, e.spec.higher_is_better, rng.split("parents"));
  const Tensor from = at::tensor(parents, at::kLong).to(state.theta.device());
  state.theta = state.theta.index_select(0, from);
  state.steps = state.steps.index_select(0, from.cpu());
  // The number stays: a copy that drew the same as the one it copied would find out nothing new.
  for (auto& [name, t] : state.own) t = t.index_select(0, from.to(t.device()));
  Tensor& settings = state.own.at(OwnSettings::kKey);
  settings = explore(e.population, settings, parents, rng.split("explore"));
  return {
      {"round", round}, {"score", numbers(score)}, {"from", parents}, {"settings", settings_of(e, state)}};
}

Json first_generation(const Experiment& e, const State& state) {
  return {{"round", 0}, {"settings", settings_of(e, state)}};
}

Json population_summary(const Experiment& e, const State& state, Rng key) {
  const auto score = judge(e, state, Rng(e.fleet.seed).split("population").split("end"));
  const int64_t best = ranked(score, e.spec.higher_is_better)[0];
  const Json all = settings_of(e, state);
  Json settings = Json::object();
  for (const auto& [name, values] : all.items()) settings[name] = values[best];
  // Anew, for it may be none of those who were judged, or the fleet too large for a list of all.
  const Subject of_best{*e.learner, *e.model, *e.family, state.rows(best, best + 1)};
  const EvalResult test =
      evaluate(of_best, Split::kTest, e.eval.tasks, e.eval.steps, e.eval.from == "own", key);
  return {{"best", best},
          {"validation", numbers(score)},
          {"settings", settings},
          {"steps", e.eval.steps},
          {"scores", eval_json(test, e.spec, e.protocol()).at("mean")}};
}

}  // namespace symma
