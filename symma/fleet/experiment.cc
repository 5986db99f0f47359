#include "symma/fleet/experiment.h"

#include <fmt/format.h>

#include <filesystem>

#include "symma/fleet/account.h"
#include "symma/fleet/sections.h"
#include "symma/tasks/control.h"

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

// [rival]: a script that is judged on the same tasks, or plays some of the players.
void read_rival(Experiment& e, const Config& config) {
  const std::string kind = config.word("rival", "kind", "");
  if (kind.empty()) {
    config.read("rival", {});
    return;
  }
  auto draft = ScriptRegistry::instance().draft(kind, config.place("rival", "kind"));
  Rival rival{.kind = kind, .script = nullptr, .players = {}};
  Fields fields;
  fields
      .add("players", rival.players,
           "whom it plays, in training too, while the others learn; none: it plays by itself, on the same "
           "test tasks")
      .at_least(0);
  draft->fields(fields);
  std::vector<std::string> others = options_of_all<ScriptRegistry>();
  others.emplace_back("kind");
  config.read("rival", fields, others);
  keep_section(e, "rival", {{"kind", kind}}, fields);
  auto* family = dynamic_cast<MeetsRival*>(e.family.get());
  if (!family) {
    throw UserError(config.place("rival", "kind"),
                    fmt::format("task \"{}\" has no worlds to play in", e.task_kind),
                    "set task.kind to control, or leave [rival] out");
  }
  rival.script = draft->build();
  family->meet(rival);
}

}  // namespace

Experiment Experiment::build(const Config& config) {
  Experiment e;
  e.settings = Json::object();
  Fields top;
  e.fleet.fields(top);
  config.read("", top,
              {"task", "model", "learner", "exchange", "aggregator", "compression", "server", "faults",
               "privacy", "population", "eval", "rival"});
  if (e.fleet.name.empty()) e.fleet.name = std::filesystem::path(config.file()).stem();
  keep_section(e, "", Json::object(), top);

  e.task_kind = config.word("task", "kind", "");
  if (e.task_kind.empty())
    throw UserError(config.place("task", "kind"), "is missing",
                    suggestion("", TaskFamilyRegistry::instance().names()));
  e.family = read_part<TaskFamilyRegistry>(e, config, "task", e.task_kind)->build(e.fleet.agents);
  read_rival(e, config);
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
  auto learner = read_part<LearnerRegistry>(e, config, "learner", e.learner_kind);
  const LearnerSetting setting{*e.model, e.spec, guard};
  if (dynamic_cast<const HasInputStatistics*>(e.model.get()) &&
      !dynamic_cast<const CountsInputs*>(learner->build(setting).get())) {
    throw UserError(config.place("model", "kind"),
                    fmt::format("learner \"{}\" does not count what \"{}\" is to be normalised by",
                                e.learner_kind, e.model_kind),
                    "name the network itself, or use \"ippo\", \"mappo\", \"ia2c\", \"maa2c\" or \"iql\"");
  }
  e.learner = build_population(e, config, std::move(learner), setting);
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
