// Every family that learners can learn from, small, and what makes a learner on it: for tests of the whole
// registry.
#pragma once

#include "symma/eval/evaluate.h"
#include "symma/learners/learner.h"

namespace symma {

constexpr int64_t kAgents = 5, kTasks = 2;

// A family that some learners can learn from, and a model for it.
struct Setting {
  std::string name, task;
  Json task_options;
  std::string model;
  Json model_options;
};

inline std::vector<Setting> settings() {
  const Json game{{"kind", "matrix_game"}, {"limit", 5}}, small{{"hidden", {8}}};
  return {
      {"sinusoid", "sinusoid", {{"shots", 4}, {"queries", 4}}, "mlp", small},
      {"blobs", "blobs", {{"shots", 2}, {"queries", 2}}, "mlp", small},
      {"quadratics", "quadratics", {{"dims", 4}}, "point", Json::object()},
      {"world", "control", {{"world", game}, {"copies", 2}}, "mlp", small},
      {"recurrent_world", "control", {{"world", game}, {"copies", 2}}, "gru", {{"hidden", 6}}},
      // Episodes that end at different times, so that rows take different numbers of steps.
      {"foraging",
       "control",
       {{"world",
         {{"kind", "foraging"}, {"rows", 5}, {"columns", 5}, {"agents", 2}, {"foods", 1}, {"limit", 12}}},
        {"copies", 3},
        {"vary", Json::array()}},
       "mlp",
       small},
      {"navigation",
       "control",
       {{"world", {{"kind", "navigation"}, {"limit", 6}}},
        {"vary", {"goal_*"}},
        {"copies", 3},
        {"baseline", "linear"}},
       "gaussian",
       small},
      {"bandit",
       "control",
       {{"world", {{"kind", "bandit"}, {"arms", 3}, {"limit", 5}}},
        {"copies", 1},
        {"feedback", true},
        {"vary", {"*"}}},
       "gru",
       {{"hidden", 6}, {"memory", true}}},
      {"games", "games", {{"world", game}}, "tabular", Json::object()},
      {"poker", "games", {{"poker", "kuhn"}, {"rivals", "random"}}, "tabular", Json::object()},
      {"games_among_agents", "games", {{"world", game}, {"rivals", "fleet"}}, "tabular", Json::object()},
  };
}

// Options under which every learner does what it does within three rounds.
inline Json options_of(const std::string& learner) {
  static const std::map<std::string, Json> short_of{
      {"iql", {{"buffer", 8}, {"batch", 4}}},
      {"vdn", {{"buffer", 8}, {"batch", 4}}},
      {"qmix", {{"buffer", 8}, {"batch", 4}}},
      {"qtran", {{"buffer", 8}, {"batch", 4}}},
      {"tuned", {{"steps", 3}}},
      {"ippo", {{"pool", 2}, {"pool_every", 1}, {"sides", {1, 1}}}},
      {"openai_es", {{"population", 4}}},
      {"meta_mapg", {{"inner_steps", 2}}},
      {"meta_pg", {{"inner_steps", 2}}},
      {"lstm_optimizer", {{"unroll", 4}, {"steps", 8}}},
      {"mlp_optimizer", {{"unroll", 4}, {"steps", 8}, {"estimator", "pes"}}},
      {"ball_optimizer", {{"unroll", 4}, {"steps", 8}, {"start", "drawn"}}}};
  const auto it = short_of.find(learner);
  return it == short_of.end() ? Json::object() : it->second;
}

struct Made {
  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
  std::unique_ptr<Learner> learner;

  std::unique_ptr<TaskBatch> tasks(const State& state, Rng rng) const {
    std::vector<int64_t> who;
    for (int64_t i = 0; i < state.size(); ++i) who.insert(who.end(), kTasks, state.id.data_ptr<int64_t>()[i]);
    return family->sample(*model, asks_for(who, rng), Split::kTrain);
  }
  Scores round(State& state, int64_t number) const {
    const Rng rng = Rng(9).split("round", static_cast<uint64_t>(number));
    return learner->step(state, *tasks(state, rng.split("tasks")), rng.split("step"));
  }
};

inline Made make_in(const Setting& s, const std::string& learner) {
  Made m;
  m.family = make<TaskFamilyRegistry>(s.task, s.task_options, int64_t{kAgents});
  m.model = make<ModelRegistry>(s.model, s.model_options, m.family->spec().shape);
  m.learner = make<LearnerRegistry>(learner, options_of(learner), LearnerSetting{*m.model, m.family->spec()});
  return m;
}

inline State start(const Made& m, at::ScalarType type = at::kFloat) {
  return m.learner->init(split_keys(Rng(3), "agent", kAgents), type);
}

}  // namespace symma
