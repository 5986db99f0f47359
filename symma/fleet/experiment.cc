#include "symma/fleet/experiment.h"

#include <fmt/format.h>

#include <filesystem>

#include "symma/fleet/account.h"
#include "symma/fleet/sections.h"

namespace symma {
namespace {

template <class Registry>
auto read_part(Experiment& e, const Config& config, const std::string& section, const std::string& kind) {
  auto draft = Registry::instance().draft(kind, config.place(section, "kind"));
  Fields fields;
  draft->fields(fields);
  // One file serves to compare kinds with --set: what another kind would read may stand there, and is not
  // looked at.
  std::vector<std::string> others = options_of_all<Registry>();
  others.emplace_back("kind");
  config.read(section, fields, others);
  keep_section(e, section, {{"kind", kind}}, fields);
  return draft;
}

}  // namespace

Experiment Experiment::build(const Config& config) {
  Experiment e;
  e.settings = Json::object();
  Fields top;
  e.fleet.fields(top);
  config.read("", top,
              {"task", "model", "learner", "exchange", "aggregator", "compression", "server", "faults",
               "privacy", "population", "eval", "sweep"});
  if (e.fleet.name.empty()) e.fleet.name = std::filesystem::path(config.file()).stem();
  keep_section(e, "", Json::object(), top);

  e.task_kind = config.word("task", "kind", "");
  if (e.task_kind.empty())
    throw UserError(config.place("task", "kind"), "is missing",
                    suggestion("", TaskFamilyRegistry::instance().names()));
  e.family = read_part<TaskFamilyRegistry>(e, config, "task", e.task_kind)->build(e.fleet.agents);
  e.spec = e.family->spec();
  e.model_kind = config.word("model", "kind", "mlp");
  e.model = read_part<ModelRegistry>(e, config, "model", e.model_kind)->build(e.spec.shape);
  if (e.model->layout().size() == 0)
    throw UserError(config.place("model", "kind"),
                    fmt::format("\"{}\" has no parameters on task \"{}\"", e.model_kind, e.task_kind),
                    "choose another model, such as mlp");
  e.learner_kind = config.word("learner", "kind", "maml");
  PrivacyOptions privacy;
  Fields guarded;
  privacy.fields(guarded);
  config.read("privacy", guarded);
  Guard guard;
  if (privacy.learners()) guard = {privacy.clip, privacy.noise, privacy.unit == "example"};
  e.learner = build_population(e, config, read_part<LearnerRegistry>(e, config, "learner", e.learner_kind),
                               LearnerSetting{*e.model, e.spec, guard});
  e.exchange = build_exchange(e, config);
  check_population(e, config);
  check_privacy(e, config);
  check_faults(e, config);
  (void)Account(e);  // a budget that allows nothing is refused here

  Fields eval;
  e.eval.fields(eval);
  config.read("eval", eval);
  if (e.eval.steps.empty() || !std::is_sorted(e.eval.steps.begin(), e.eval.steps.end())) {
    throw UserError(config.place("eval", "steps"), "is not ascending", "write for example [0, 1, 5, 10]");
  }
  keep_section(e, "eval", Json::object(), eval);
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
