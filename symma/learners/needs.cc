#include "symma/learners/needs.h"

#include <algorithm>

#include "symma/core/errors.h"
#include "symma/nn/recurrent.h"

namespace symma {
namespace {

bool remembers_in_its_row(const Model& model) {
  const auto& entries = model.layout().entries();
  return dynamic_cast<const Recurrent*>(&model) &&
         std::any_of(entries.begin(), entries.end(), [](const auto& e) { return e.name == "memory"; });
}

struct Line {
  Need need;
  bool (*met)(const LearnerSetting&);
  const char *place, *found, *remedy;  // `found` goes on after the learner's name
};

const Line kLines[] = {
    {Need::kWorlds, [](const LearnerSetting& s) { return s.spec.kind == Kind::kControl; }, "[learner] kind",
     "learns in worlds, and this task has none", "set [task] kind = \"control\", or use \"maml\""},
    {Need::kWorlds, [](const LearnerSetting& s) { return !s.spec.taught; }, "[task] teacher",
     "learns by reward, and does not look at a teacher",
     "leave teacher out, or use \"maml\", \"pretrain\" or another learner that follows the task's own loss"},
    {Need::kMatches, [](const LearnerSetting& s) { return s.spec.kind == Kind::kGame; }, "[learner] kind",
     "learns among rivals, and this task has none", "set [task] kind = \"games\", or use \"maml\""},
    {Need::kHands, [](const LearnerSetting& s) { return s.spec.hands; }, "[task] poker",
     "plays games of cards, and this is none", "set poker = \"kuhn\" or \"leduc\", or use \"naive\""},
    {Need::kPoints,
     [](const LearnerSetting& s) {
       return s.spec.labels && (s.spec.kind == Kind::kRegression || s.spec.kind == Kind::kClassification);
     },
     "[learner] kind", "learns from labelled points, and this task has none",
     "use \"maml\", or another task"},
    {Need::kClasses, [](const LearnerSetting& s) { return s.spec.kind == Kind::kClassification; },
     "[learner] kind", "classifies, and this task has no classes", "use \"maml\", or a classification task"},
    {Need::kKept,
     [](const LearnerSetting& s) { return s.spec.kind != Kind::kControl && s.spec.kind != Kind::kGame; },
     "[learner] kind", "stays with a task for several rounds, and this one is not one that can be kept",
     "use a task of points or functions"},
    {Need::kChoices, [](const LearnerSetting& s) { return !s.spec.continuous; }, "[learner] kind",
     "chooses among actions, and this world's are numbers",
     "set levels = 5 in [task.world], or use \"ippo\" or \"mappo\""},
    {Need::kAllPlayers, [](const LearnerSetting& s) { return s.spec.scripted.empty(); }, "[rival] players",
     "learns for all players of a team, and a script plays some", "leave players out, or use \"ippo\""},
    {Need::kWholeTeams, [](const LearnerSetting& s) { return !s.spec.leaving; }, "[learner] kind",
     "learns in teams that stay whole, and this world's players leave",
     "use \"ippo\", \"mappo\", \"ia2c\", \"maa2c\" or \"coma\", or another world"},
    {Need::kAdvantages, [](const LearnerSetting& s) { return s.spec.advantages; }, "[task] baseline",
     "needs advantages", "set baseline = \"linear\""},
    {Need::kFeedback, [](const LearnerSetting& s) { return s.spec.feedback; }, "[task] feedback",
     "learns from what it did and earned, and is not shown it", "set feedback = true"},
    {Need::kFeatures,
     [](const LearnerSetting& s) {
       const auto& last = s.model.layout().entries().back();
       return last.name == "head.bias" && last.shape == std::vector<int64_t>{s.spec.shape.out};
     },
     "[model] kind",
     "works on the features of a last layer, and this model has none that makes all its outputs",
     "use \"mlp\" or \"conv\""},
    {Need::kMemory, [](const LearnerSetting& s) { return remembers_in_its_row(s.model); }, "[model] kind",
     "needs a policy whose row holds its memory", "set [model] kind = \"gru\" and memory = true"},
    {Need::kNoRunning,
     [](const LearnerSetting& s) {
       const auto* keeper = dynamic_cast<const HasStatistics*>(&s.model);
       return !keeper || keeper->protocol() != "running";
     },
     "[model] norm", "does not observe running statistics", "use \"transductive\", or \"maml\""},
};

}  // namespace

void need(const LearnerSetting& setting, const std::string& learner, std::initializer_list<Need> needs) {
  for (const Need one : needs) {
    for (const Line& line : kLines) {
      if (line.need == one && !line.met(setting))
        throw UserError(line.place, "\"" + learner + "\" " + line.found, line.remedy);
    }
  }
}

}  // namespace symma
