#include "symma/fleet/experiment.h"

#include <fmt/format.h>

#include <filesystem>

namespace symma {
namespace {

// A section of the file: its fields, as TOML and as JSON, once they are read.
void record(Experiment& e, const std::string& section, const Json& heads, const Fields& fields) {
  if (!section.empty()) e.toml += fmt::format("\n[{}]\n", section);
  for (const auto& [key, value] : heads.items()) e.toml += fmt::format("{} = {}\n", key, value.dump());
  e.toml += to_toml(fields);
  Json table = heads;
  for (const auto& f : fields.list()) table[f.name] = f.value();
  e.settings[section] = table;
}

template <class Registry, class... Args>
auto build_part(Experiment& e, const Config& config, const std::string& section, const std::string& kind,
                Args&&... args) {
  const auto draft = Registry::instance().draft(kind, config.place(section, "kind"));
  Fields fields;
  draft->fields(fields);
  config.read(section, fields, {"kind"});
  record(e, section, {{"kind", kind}}, fields);
  return draft->build(std::forward<Args>(args)...);
}

Exchange build_exchange(Experiment& e, const Config& config) {
  Exchange x;
  Fields fields;
  x.options.fields(fields);
  x.options.topology = config.word("exchange", "topology", x.options.topology);
  const auto draft =
      TopologyRegistry::instance().draft(x.options.topology, config.place("exchange", "topology"));
  draft->fields(fields);
  // One file serves to compare graphs with --set exchange.topology: what another graph would read may stand
  // there too.
  std::vector<std::string> others;
  for (const auto& name : TopologyRegistry::instance().names()) {
    const auto other = TopologyRegistry::instance().draft(name, "");
    Fields theirs;
    other->fields(theirs);
    for (const auto& f : theirs.list()) others.push_back(f.name);
  }
  config.read("exchange", fields, others);
  record(e, "exchange", Json::object(), fields);
  x.graph = draft->build()->build(e.fleet.agents, Rng(e.fleet.seed).split("topology"));
  x.weights = mixing_weights(x.graph);
  return x;
}

}  // namespace

Experiment Experiment::build(const Config& config) {
  Experiment e;
  e.settings = Json::object();
  Fields top;
  e.fleet.fields(top);
  config.read("", top, {"task", "model", "learner", "exchange", "eval"});
  if (e.fleet.name.empty()) e.fleet.name = std::filesystem::path(config.file()).stem();
  record(e, "", Json::object(), top);

  e.task_kind = config.word("task", "kind", "");
  if (e.task_kind.empty())
    throw UserError(config.place("task", "kind"), "is missing",
                    suggestion("", TaskFamilyRegistry::instance().names()));
  e.family = build_part<TaskFamilyRegistry>(e, config, "task", e.task_kind, e.fleet.agents);
  e.spec = e.family->spec();
  e.model_kind = config.word("model", "kind", "mlp");
  e.model = build_part<ModelRegistry>(e, config, "model", e.model_kind, e.spec.shape);
  e.learner_kind = config.word("learner", "kind", "maml");
  e.learner =
      build_part<LearnerRegistry>(e, config, "learner", e.learner_kind, LearnerSetting{*e.model, e.spec});
  e.exchange = build_exchange(e, config);

  Fields eval;
  e.eval.fields(eval);
  config.read("eval", eval);
  if (e.eval.steps.empty() || !std::is_sorted(e.eval.steps.begin(), e.eval.steps.end())) {
    throw UserError(config.place("eval", "steps"), "is not ascending", "write for example [0, 1, 5, 10]");
  }
  record(e, "eval", Json::object(), eval);
  return e;
}

std::string Experiment::protocol() const {
  const auto* keeper = dynamic_cast<const HasStatistics*>(model.get());
  if (!keeper) return "";
  return keeper->protocol() == "transductive"
             ? "transductive batch norm: statistics of the queries at hand"
             : "running batch norm: statistics of training, none of the queries";
}

}  // namespace symma
